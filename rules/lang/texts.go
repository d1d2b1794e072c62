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
		forms: []form{to(Bool, Text, Text)}, price: perByte(1),
	},
	{
		name: "hasSuffix", doc: "Whether a text ends with another.", example: `hasSuffix(contact.email, "@example.com")`,
		forms: []form{to(Bool, Text, Text)}, price: perByte(1),
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

func fnLen(r *Machine, args []any) any {
	if s, ok := args[0].(string); ok {
		r.charge(10+len(s)/2, 0)
		return utf8.RuneCountInString(s)
	}
	return reflect.ValueOf(args[0]).Len()
}

func fnString(r *Machine, args []any) any {
	r.chargeFor(args[0], 20, 2)
	return Print(args[0])
}

// parts is the price of splitting a text.
func parts(r *Machine, args []any) {
	text, sep := args[0].(string), args[1].(string)
	r.charge(50+2*len(text), 0)
	parts := utf8.RuneCountInString(text)
	if sep != "" {
		parts = strings.Count(text, sep) + 1
	}
	r.charge(20*parts, 16*parts)
}

// replacing is the price of replacing parts of a text.
func replacing(r *Machine, args []any) {
	text, old, fresh := args[0].(string), args[1].(string), args[2].(string)
	r.charge(50+2*len(text), 0)
	size := len(text) + strings.Count(text, old)*len(fresh)
	r.charge(2*size, size)
}

func fnRepeat(r *Machine, args []any) any {
	text, n := args[0].(string), wantInt("repeat", args[1])
	if n < 0 {
		panic(Errorf("repeat needs a number that is not negative"))
	}
	if n > maxBytes || len(text)*n > maxBytes {
		panic(errTooMuch)
	}
	r.charge(50+len(text)*n, len(text)*n)
	return strings.Repeat(text, n)
}

func fnJoin(r *Machine, args []any) any {
	list, glue := reflect.ValueOf(args[0]), ""
	if len(args) == 2 {
		glue = args[1].(string)
	}
	c := must(r.measure(args[0]))
	size := list.Len() * len(glue)
	r.charge(20*c.units+size, c.bytes+size)
	return printed(list, glue)
}

func fnToJSON(r *Machine, args []any) any {
	r.chargeFor(args[0], 20, 6)
	data, err := marshal(args[0])
	if err != nil {
		panic(Errorf("toJSON cannot write %s", Describe(args[0])))
	}
	return string(data)
}

func fnFromJSON(r *Machine, args []any) (v any) {
	text := args[0].(string)
	r.charge(100+40*len(text), 20*len(text))
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		panic(Errorf("fromJSON was given a text that is not JSON"))
	}
	return v
}
