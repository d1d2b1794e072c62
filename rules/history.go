package rules

import (
	"maps"

	"bellhop/rules/lang"
)

// historyName is the name of what else is remembered of the contact. It is no field of the contact's own, because it is read
// only for the rules that use it.
const historyName = "contact.appointments"

// contactTypes returns the types of the fields of the contact.
func contactTypes() map[string]lang.Type {
	types := maps.Clone(fieldTypes("contact"))
	types["appointments"] = lang.ListOf(lang.Type{Kind: lang.ObjectKind, Name: "appointment"})
	return types
}

// history returns the other appointments of the contact. An error means that the store cannot be read: the event is then not
// decided at all.
func (e *Event) history() any {
	var list []Appointment
	if e.History != nil && e.Contact.ID != "" {
		var err error
		if list, err = e.History(e.Contact.ID); err != nil {
			return lang.Errorf("the contact's appointments cannot be read: %v", err)
		}
	}
	out := make([]any, len(list))
	for i := range list {
		out[i] = whole(&list[i], appointmentFieldValues)
	}
	return out
}
