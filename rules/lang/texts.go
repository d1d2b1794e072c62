package lang

import (
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf8"
)

var textFunctions = []function{
	{
		name: "len", doc: "The number of characters, elements or entries.", example: "len(appointment.title)",
		forms: []form{to(intType, Text), to(intType, listType), to(intType, mapType)}, call: fnLen, natural: true, aliases: []string{"length", "size"},
	},
	{
		name: "string", doc: "Anything as a text.", example: "string(len(appointment.users))",
		forms: []form{to(Text, Any)}, call: fnString, missing: takesMissing, carries: true, aliases: []string{"str", "toString", "text"},
	},
	{
		name: "trim", doc: "The text without blanks (or the given characters) at both ends.", example: "trim(appointment.title)",
		forms: []form{to(Text, Text), to(Text, Text, Text)}, price: perByte(1), carries: true,
	},
	{
		name: "trimPrefix", doc: "The text without this beginning.", example: `trimPrefix(appointment.title, "Re: ")`,
		forms: []form{to(Text, Text, Text), to(Text, Text)}, price: perByte(1), carries: true,
	},
	{
		name: "trimSuffix", doc: "The text without this end.", example: `trimSuffix(appointment.title, ".")`,
		forms: []form{to(Text, Text, Text), to(Text, Text)}, price: perByte(1), carries: true,
	},
	{
		name: "upper", doc: "The text in capitals.", example: "upper(appointment.title)",
		forms: []form{to(Text, Text)}, price: perByte(10), carries: true, aliases: []string{"toUpper", "uppercase", "ucase"},
	},
	{
		name: "lower", doc: "The text in small letters.", example: `lower(appointment.title) contains "vip"`,
		forms: []form{to(Text, Text)}, price: perByte(10), carries: true, aliases: []string{"toLower", "lowercase", "lcase"},
	},
	{
		name: "split", doc: "The parts of a text between separators.", example: `split(appointment.title, " - ")`,
		forms: []form{to(Texts, Text, Text), to(Texts, Text, Text, intType)}, price: parts, carries: true,
	},
	{
		name: "splitAfter", doc: "The parts of a text, each with its separator.", example: `splitAfter(appointment.address, ", ")`,
		forms: []form{to(Texts, Text, Text), to(Texts, Text, Text, intType)}, price: parts,
	},
	{
		name: "replace", doc: "The text with one part replaced by another.", example: `replace(appointment.title, "_", " ")`,
		forms: []form{to(Text, Text, Text, Text), to(Text, Text, Text, Text, intType)}, price: replacing, carries: true,
	},
	{
		name: "repeat", doc: "The text several times.", example: `repeat("-", 20)`,
		forms: []form{to(Text, Text, intType)}, call: fnRepeat,
	},
	{
		name: "join", doc: "The texts of a list as one text.", example: `join(contact.tags, ", ")`,
		forms: []form{to(Text, listType), to(Text, listType, Text)}, call: fnJoin,
	},
	{
		name: "indexOf", doc: "Where a text first occurs in another, or -1.", example: `indexOf(appointment.title, ":")`,
		forms: []form{to(intType, Text, Text)}, price: perByte(2),
	},
	{
		name: "lastIndexOf", doc: "Where a text last occurs in another, or -1.", example: `lastIndexOf(appointment.title, ":")`,
		forms: []form{to(intType, Text, Text)}, price: perByte(2),
	},
	{
		name: "hasPrefix", doc: "Whether a text begins with another.", example: `hasPrefix(appointment.title, "VIP")`,
		forms: []form{to(boolType, Text, Text)}, price: perByte(1),
	},
	{
		name: "hasSuffix", doc: "Whether a text ends with another.", example: `hasSuffix(contact.email, "@example.com")`,
		forms: []form{to(boolType, Text, Text)}, price: perByte(1),
	},
	{
		name: "toJSON", doc: "Anything as JSON.", example: "toJSON(contact.tags)",
		forms: []form{to(Text, Any)}, call: fnToJSON, missing: takesMissing,
	},
	{
		name: "fromJSON", doc: "What a JSON text says.", example: "fromJSON(appointment.notes)",
		forms: []form{to(Any, Text)}, call: fnFromJSON,
	},
	{
		name: "toBase64", doc: "The text in base64.", example: "toBase64(appointment.id)",
		forms: []form{to(Text, Text)}, price: perByte(5), carries: true,
	},
	{
		name: "fromBase64", doc: "The text that base64 stands for.", example: `fromBase64("aGVsbG8=")`,
		forms: []form{to(Text, Text)}, price: perByte(5),
	},
}

func fnLen(r *Machine, args []any) (any, error) {
	switch v := args[0].(type) {
	case string:
		if err := r.charge(10+len(v)/2, 0); err != nil {
			return nil, err
		}
		return utf8.RuneCountInString(v), nil
	}
	return reflect.ValueOf(args[0]).Len(), nil
}

func fnString(r *Machine, args []any) (any, error) {
	if err := r.ChargeFor(args[0], 20, 2); err != nil {
		return nil, err
	}
	return Print(args[0]), nil
}

// parts is the price of splitting a text.
func parts(r *Machine, args []any) error {
	text, sep := args[0].(string), args[1].(string)
	if err := r.charge(50+2*len(text), 0); err != nil {
		return err
	}
	parts := utf8.RuneCountInString(text)
	if sep != "" {
		parts = strings.Count(text, sep) + 1
	}
	return r.charge(20*parts, 16*parts)
}

// replacing is the price of replacing parts of a text.
func replacing(r *Machine, args []any) error {
	text, old, fresh := args[0].(string), args[1].(string), args[2].(string)
	if err := r.charge(50+2*len(text), 0); err != nil {
		return err
	}
	size := len(text) + strings.Count(text, old)*len(fresh)
	return r.charge(2*size, size)
}

func fnRepeat(r *Machine, args []any) (any, error) {
	text := args[0].(string)
	n, err := wantInt("repeat", args[1])
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, Errorf("repeat needs a number that is not negative")
	}
	if n > maxBytes || len(text)*n > maxBytes {
		return nil, errTooMuch
	}
	if err := r.charge(50+len(text)*n, len(text)*n); err != nil {
		return nil, err
	}
	return strings.Repeat(text, n), nil
}

func fnJoin(r *Machine, args []any) (any, error) {
	list, glue := reflect.ValueOf(args[0]), ""
	if len(args) == 2 {
		glue = args[1].(string)
	}
	units, bytes, err := r.measure(args[0])
	if err != nil {
		return nil, err
	}
	size := list.Len() * len(glue)
	if err := r.charge(20*units+size, bytes+size); err != nil {
		return nil, err
	}
	texts := make([]string, list.Len())
	for i := range texts {
		texts[i] = Print(list.Index(i).Interface())
	}
	return strings.Join(texts, glue), nil
}

func fnToJSON(r *Machine, args []any) (any, error) {
	if err := r.ChargeFor(args[0], 20, 6); err != nil {
		return nil, err
	}
	data, err := marshal(args[0])
	if err != nil {
		return nil, Errorf("toJSON cannot write %s", Describe(args[0]))
	}
	return string(data), nil
}

func fnFromJSON(r *Machine, args []any) (any, error) {
	text := args[0].(string)
	if err := r.charge(100+40*len(text), 20*len(text)); err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, Errorf("fromJSON was given a text that is not JSON")
	}
	return v, nil
}
