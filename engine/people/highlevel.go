package people

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"bellhop/rules"
)

// A kind is one kind of thing that can be looked up. The requests and answers are those of HighLevel's API, see
// https://marketplace.gohighlevel.com/docs/.
type kind[T any] struct {
	noun    string
	folder  string // of the path
	version string // of the API, for the header Version
	scope   string // that a token needs
	read    func(body []byte) (T, error)
}

func (k kind[T]) path(id string) string { return "/" + k.folder + "/" + url.PathEscape(id) }

const (
	usualVersion    = "2021-07-28"
	calendarVersion = "2021-04-15"
)

var (
	contacts  = kind[rules.Contact]{"contact", "contacts", usualVersion, "contacts.readonly", readContact}
	users     = kind[rules.User]{"user", "users", usualVersion, "users.readonly", readUser}
	calendars = kind[rules.Calendar]{"calendar", "calendars", calendarVersion, "calendars.readonly", readCalendar}
	locations = kind[rules.Location]{"location", "locations", usualVersion, "locations.readonly", readLocation}
)

// A person has the fields that contacts and users have in common.
type person struct {
	ID, Name, FirstName, LastName, Email, Phone, Timezone string
}

func (p *person) fullName() string {
	if p.Name != "" {
		return p.Name
	}
	return strings.TrimSpace(p.FirstName + " " + p.LastName)
}

func readContact(body []byte) (rules.Contact, error) {
	var in struct {
		Contact *struct {
			person
			ContactName string
			DND         bool
			DNDSettings map[string]struct{ Status string }
			Tags        []string

			CustomFields []struct {
				ID    string
				Value json.RawMessage
			}
		}
	}
	if err := decode(body, &in); err != nil {
		return rules.Contact{}, err
	}
	if in.Contact == nil || in.Contact.ID == "" {
		return rules.Contact{}, errors.New("it holds no contact")
	}
	c := in.Contact
	if c.Name == "" {
		c.Name = c.ContactName
	}
	out := rules.Contact{
		ID: c.ID, Name: c.fullName(), FirstName: c.FirstName, LastName: c.LastName, Email: c.Email, Phone: c.Phone, Timezone: c.Timezone,
		Tags: c.Tags, DND: c.DND,
	}
	for channel, setting := range c.DNDSettings {
		if setting.Status == "active" || setting.Status == "permanent" {
			out.OptOuts = append(out.OptOuts, strings.ToLower(channel))
		}
	}
	for _, f := range c.CustomFields {
		if v := rules.DecodePayload(f.Value); v != nil {
			if out.Custom == nil {
				out.Custom = map[string]any{}
			}
			out.Custom[f.ID] = v
		}
	}
	return out, nil
}

func readUser(body []byte) (rules.User, error) {
	var in person
	if err := decode(body, &in); err != nil {
		return rules.User{}, err
	}
	if in.ID == "" {
		return rules.User{}, errors.New("it holds no user")
	}
	return rules.User{
		ID: in.ID, Name: in.fullName(), FirstName: in.FirstName, LastName: in.LastName, Email: in.Email, Phone: in.Phone, Timezone: in.Timezone,
	}, nil
}

func readCalendar(body []byte) (rules.Calendar, error) {
	var in struct{ Calendar *struct{ ID, Name string } }
	if err := decode(body, &in); err != nil {
		return rules.Calendar{}, err
	}
	if in.Calendar == nil || in.Calendar.ID == "" {
		return rules.Calendar{}, errors.New("it holds no calendar")
	}
	return rules.Calendar{ID: in.Calendar.ID, Name: in.Calendar.Name}, nil
}

func readLocation(body []byte) (rules.Location, error) {
	var in struct {
		Location *struct{ ID, Name, Timezone, Email, Phone, Address, City string }
	}
	if err := decode(body, &in); err != nil {
		return rules.Location{}, err
	}
	if in.Location == nil || in.Location.ID == "" {
		return rules.Location{}, errors.New("it holds no location")
	}
	l := in.Location
	address := l.Address
	if l.City != "" && address != "" {
		address += ", " + l.City
	}
	return rules.Location{ID: l.ID, Name: l.Name, Timezone: l.Timezone, Email: l.Email, Phone: l.Phone, Address: address}, nil
}
