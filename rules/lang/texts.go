package lang

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
		forms: []form{to(Texts, Text, Text), to(Texts, Text, Text, intType)}, price: parts("split"), carries: true,
	},
	{
		name: "splitAfter", doc: "The parts of a text, each with its separator.", example: `splitAfter(appointment.address, ", ")`,
		forms: []form{to(Texts, Text, Text), to(Texts, Text, Text, intType)}, price: parts("splitAfter"),
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
