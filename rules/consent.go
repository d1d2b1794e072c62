package rules

import (
	"slices"

	"bellhop/actions"
	"bellhop/rules/lang"
)

// consent takes the contact out of the recipients of a request if the contact wants no such messages. skip is why the step is
// not sent if nobody is left; unknown is what has to be looked up before that can be told, nil if nothing has to be.
func (st *step) consent(r *run, req actions.Request) (skip string, unknown *lang.Unknown) {
	addressed, ok := req.(actions.Addressed)
	if !ok || st.must {
		return "", nil
	}
	c := &r.ev.Contact
	channel, addresses := addressed.Addresses()
	own := actions.Address(channel, c.Email)
	isContact := func(address string) bool { return own != "" && address == own }
	switch {
	case !slices.ContainsFunc(addresses, isContact):
		return "", nil
	case c.DND || slices.Contains(c.OptOuts, channel):
		if !addressed.Without(isContact) {
			return optedOut(channel), nil
		}
	case r.ev.mayAsk("contact", c.ID):
		return "", &lang.Unknown{Object: "contact", ID: c.ID}
	}
	return "", nil
}

func optedOut(channel string) string { return "the contact wants no messages by " + channel + " (dnd)" }
