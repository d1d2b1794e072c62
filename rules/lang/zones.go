package lang

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"bellhop/rules/text"
)

// zones holds the time zones read so far. Only zones that exist are kept, so it cannot grow without limit.
var zones sync.Map

// LoadZone returns a time zone by its IANA name. "Local" is refused: a rule must not depend on the machine.
func LoadZone(name string) (*time.Location, bool) {
	if z, ok := zones.Load(name); ok {
		return z.(*time.Location), true
	}
	if name == "" || strings.EqualFold(name, "local") || len(name) > 64 {
		return nil, false
	}
	z, err := time.LoadLocation(name)
	if err != nil {
		return nil, false
	}
	kept, _ := zones.LoadOrStore(name, z)
	return kept.(*time.Location), true
}

// FindZone returns a zone by its place, in any case, by its offset from UTC, or by the name that Windows has for it.
// The same zone is always the same value.
func FindZone(name string) (*time.Location, bool) {
	if z, ok := LoadZone(name); ok {
		return z, true
	}
	if len(name) > 64 {
		return nil, false
	}
	lower := strings.ToLower(strings.Join(strings.Fields(name), " "))
	if place, ok := windowsZones[lower]; ok {
		return LoadZone(place)
	}
	if z, ok := offsetZone(lower); ok {
		return z, true
	}
	// In europe/paris or AMERICA/NEW_YORK, each part should begin with a capital, except for some small words.
	parts := strings.FieldsFunc(strings.ReplaceAll(lower, " ", "_"), func(r rune) bool { return r == '/' })
	for i, part := range parts {
		parts[i] = placeWords.ReplaceAllStringFunc(part, func(w string) string {
			switch w {
			case "of", "au", "es", "de":
				return w
			}
			return strings.ToUpper(w[:1]) + w[1:]
		})
	}
	if z, ok := LoadZone(strings.Join(parts, "/")); ok {
		return z, true
	}
	return LoadZone(strings.ToUpper(strings.TrimSpace(name)))
}

var (
	placeWords = regexp.MustCompile(`[a-z]+`)
	offsetName = regexp.MustCompile(`^(?:utc|gmt|z)$|^(?:utc|gmt|z)? ?([+-])(\d{1,2})(?::?(\d{2}))?$`)
)

// offsetZone reads gmt+2, utc-03:00 or +0530, in lower case.
func offsetZone(name string) (*time.Location, bool) {
	m := offsetName.FindStringSubmatch(name)
	if m == nil {
		return nil, false
	}
	hours, _ := strconv.Atoi("0" + m[2]) // digits only, because of the pattern
	minutes, _ := strconv.Atoi("0" + m[3])
	if hours > 14 || minutes > 59 {
		return nil, false
	}
	minutes += 60 * hours
	if m[1] == "-" {
		minutes = -minutes
	}
	if minutes == 0 {
		return time.UTC, true
	}
	return OffsetZone(minutes), true
}

// offsets are the zones of every offset, by minutes east of UTC, from a day west of it. They are made on first use.
var offsets [2 * 24 * 60]atomic.Pointer[time.Location]

// OffsetZone returns the zone that is minutes east of UTC, less than a day. The same zone is always the same value.
func OffsetZone(minutes int) *time.Location {
	kept := &offsets[minutes+24*60]
	if kept.Load() == nil {
		kept.CompareAndSwap(nil, time.FixedZone("", minutes*60))
	}
	return kept.Load()
}

// A mark is a property of a time that it keeps when a duration is added. It is stored as the time's zone, which is
// then a copy used for nothing else.
type mark struct {
	copies sync.Map // zone to copy
	marked sync.Map // the set of copies
}

var (
	chosen    mark // the zone was set by tz, and takes precedence over the rule's
	wholeDays mark // it is a date without a time, which is the same date in every zone
)

// on returns the copy of a zone. There are few zones, see [FindZone].
func (m *mark) on(zone *time.Location) *time.Location {
	if copied, ok := m.copies.Load(zone); ok {
		return copied.(*time.Location)
	}
	copied := *zone
	m.marked.Store(&copied, true)
	kept, already := m.copies.LoadOrStore(zone, &copied)
	if already {
		m.marked.Delete(&copied)
	}
	return kept.(*time.Location)
}

// has reports whether a time has the mark.
func (m *mark) has(t time.Time) bool {
	_, ok := m.marked.Load(t.Location())
	return ok
}

// IsDate reports whether a time is midnight in its own offset, like a date.
func IsDate(t time.Time) bool {
	midnight := shown(t)
	return midnight.Equal(midnight.Truncate(24 * time.Hour))
}

// WholeDay marks a time that is the beginning of a date. A missing time stays missing.
func WholeDay(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	_, offset := t.Zone()
	return t.In(wholeDays.on(OffsetZone(offset / 60)))
}

// Settled turns a whole day into a fixed moment: its beginning in the rule's zone. Other times are returned
// unchanged. An error is an [Unknown].
func (r *Machine) Settled(t time.Time) (time.Time, error) {
	switch {
	case !wholeDays.has(t):
	case r.Await != nil:
		return t, *r.Await
	case r.Zone != nil:
		return shift(t, r.Zone), nil
	}
	return t, nil
}

// shift returns a time in a zone. A time that was counted from a whole day keeps what its clock shows.
func shift(t time.Time, zone *time.Location) time.Time {
	if wholeDays.has(t) {
		return Clock(shown(t), zone)
	}
	return t.In(zone)
}

// zoneNames are the zones of the IANA database by region, for suggestions only.
var zoneNames = []struct{ region, places string }{
	{"Africa", `
Abidjan Accra Addis_Ababa Algiers Asmara Asmera Bamako Bangui Banjul Bissau Blantyre Brazzaville Bujumbura Cairo Casablanca Ceuta Conakry Dakar
Dar_es_Salaam Djibouti Douala El_Aaiun Freetown Gaborone Harare Johannesburg Juba Kampala Khartoum Kigali Kinshasa Lagos Libreville Lome Luanda
Lubumbashi Lusaka Malabo Maputo Maseru Mbabane Mogadishu Monrovia Nairobi Ndjamena Niamey Nouakchott Ouagadougou Porto-Novo Sao_Tome Timbuktu Tripoli
Tunis Windhoek`},
	{"America", `
Adak Anchorage Anguilla Antigua Araguaina Argentina/Buenos_Aires Argentina/Catamarca Argentina/ComodRivadavia Argentina/Cordoba Argentina/Jujuy
Argentina/La_Rioja Argentina/Mendoza Argentina/Rio_Gallegos Argentina/Salta Argentina/San_Juan Argentina/San_Luis Argentina/Tucuman Argentina/Ushuaia
Aruba Asuncion Atikokan Atka Bahia Bahia_Banderas Barbados Belem Belize Blanc-Sablon Boa_Vista Bogota Boise Buenos_Aires Cambridge_Bay Campo_Grande
Cancun Caracas Catamarca Cayenne Cayman Chicago Chihuahua Ciudad_Juarez Coral_Harbour Cordoba Costa_Rica Coyhaique Creston Cuiaba Curacao Danmarkshavn
Dawson Dawson_Creek Denver Detroit Dominica Edmonton Eirunepe El_Salvador Ensenada Fort_Nelson Fort_Wayne Fortaleza Glace_Bay Godthab Goose_Bay
Grand_Turk Grenada Guadeloupe Guatemala Guayaquil Guyana Halifax Havana Hermosillo Indiana/Indianapolis Indiana/Knox Indiana/Marengo
Indiana/Petersburg Indiana/Tell_City Indiana/Vevay Indiana/Vincennes Indiana/Winamac Indianapolis Inuvik Iqaluit Jamaica Jujuy Juneau
Kentucky/Louisville Kentucky/Monticello Knox_IN Kralendijk La_Paz Lima Los_Angeles Louisville Lower_Princes Maceio Managua Manaus Marigot Martinique
Matamoros Mazatlan Mendoza Menominee Merida Metlakatla Mexico_City Miquelon Moncton Monterrey Montevideo Montreal Montserrat Nassau New_York Nipigon
Nome Noronha North_Dakota/Beulah North_Dakota/Center North_Dakota/New_Salem Nuuk Ojinaga Panama Pangnirtung Paramaribo Phoenix Port-au-Prince
Port_of_Spain Porto_Acre Porto_Velho Puerto_Rico Punta_Arenas Rainy_River Rankin_Inlet Recife Regina Resolute Rio_Branco Rosario Santa_Isabel Santarem
Santiago Santo_Domingo Sao_Paulo Scoresbysund Shiprock Sitka St_Barthelemy St_Johns St_Kitts St_Lucia St_Thomas St_Vincent Swift_Current Tegucigalpa
Thule Thunder_Bay Tijuana Toronto Tortola Vancouver Virgin Whitehorse Winnipeg Yakutat Yellowknife`},
	{"Antarctica", `Casey Davis DumontDUrville Macquarie Mawson McMurdo Palmer Rothera South_Pole Syowa Troll Vostok`},
	{"Asia", `
Aden Almaty Amman Anadyr Aqtau Aqtobe Ashgabat Ashkhabad Atyrau Baghdad Bahrain Baku Bangkok Barnaul Beirut Bishkek Brunei Calcutta Chita Choibalsan
Chongqing Chungking Colombo Dacca Damascus Dhaka Dili Dubai Dushanbe Famagusta Gaza Harbin Hebron Ho_Chi_Minh Hong_Kong Hovd Irkutsk Istanbul Jakarta
Jayapura Jerusalem Kabul Kamchatka Karachi Kashgar Kathmandu Katmandu Khandyga Kolkata Krasnoyarsk Kuala_Lumpur Kuching Kuwait Macao Macau Magadan
Makassar Manila Muscat Nicosia Novokuznetsk Novosibirsk Omsk Oral Phnom_Penh Pontianak Pyongyang Qatar Qostanay Qyzylorda Rangoon Riyadh Saigon
Sakhalin Samarkand Seoul Shanghai Singapore Srednekolymsk Taipei Tashkent Tbilisi Tehran Tel_Aviv Thimbu Thimphu Tokyo Tomsk Ujung_Pandang Ulaanbaatar
Ulan_Bator Urumqi Ust-Nera Vientiane Vladivostok Yakutsk Yangon Yekaterinburg Yerevan`},
	{"Atlantic", `Azores Bermuda Canary Cape_Verde Faeroe Faroe Jan_Mayen Madeira Reykjavik South_Georgia St_Helena Stanley`},
	{"Australia", `
ACT Adelaide Brisbane Broken_Hill Canberra Currie Darwin Eucla Hobart LHI Lindeman Lord_Howe Melbourne NSW North Perth Queensland South Sydney
Tasmania Victoria West Yancowinna`},
	{"Europe", `
Amsterdam Andorra Astrakhan Athens Belfast Belgrade Berlin Bratislava Brussels Bucharest Budapest Busingen Chisinau Copenhagen Dublin Gibraltar
Guernsey Helsinki Isle_of_Man Istanbul Jersey Kaliningrad Kiev Kirov Kyiv Lisbon Ljubljana London Luxembourg Madrid Malta Mariehamn Minsk Monaco
Moscow Nicosia Oslo Paris Podgorica Prague Riga Rome Samara San_Marino Sarajevo Saratov Simferopol Skopje Sofia Stockholm Tallinn Tirane Tiraspol
Ulyanovsk Uzhgorod Vaduz Vatican Vienna Vilnius Volgograd Warsaw Zagreb Zaporozhye Zurich`},
	{"", `GMT`},
	{"Indian", `Antananarivo Chagos Christmas Cocos Comoro Kerguelen Mahe Maldives Mauritius Mayotte Reunion`},
	{"Pacific", `
Apia Auckland Bougainville Chatham Chuuk Easter Efate Enderbury Fakaofo Fiji Funafuti Galapagos Gambier Guadalcanal Guam Honolulu Johnston Kanton
Kiritimati Kosrae Kwajalein Majuro Marquesas Midway Nauru Niue Norfolk Noumea Pago_Pago Palau Pitcairn Pohnpei Ponape Port_Moresby Rarotonga Saipan
Samoa Tahiti Tarawa Tongatapu Truk Wake Wallis Yap`},
	{"", `UTC`},
}

// Zones returns the names of time zones.
func Zones() (names []string) {
	for _, of := range zoneNames {
		for place := range strings.FieldsSeq(of.places) {
			names = append(names, strings.TrimPrefix(of.region+"/"+place, "/"))
		}
	}
	return names
}

// zoneAliases are other names and abbreviations that people use.
var zoneAliases = map[string]string{
	"est": "America/New_York", "edt": "America/New_York", "eastern": "America/New_York", "us/eastern": "America/New_York",
	"cst": "America/Chicago", "cdt": "America/Chicago", "central": "America/Chicago", "us/central": "America/Chicago",
	"mst": "America/Denver", "mdt": "America/Denver", "mountain": "America/Denver",
	"pst": "America/Los_Angeles", "pdt": "America/Los_Angeles", "pacific": "America/Los_Angeles",
	"bst": "Europe/London", "cet": "Europe/Paris", "cest": "Europe/Paris", "ist": "Asia/Kolkata", "jst": "Asia/Tokyo", "aest": "Australia/Sydney", "utc+0": "UTC", "z": "UTC",
}

// ClosestZone returns the time zone that was probably meant, or "".
func ClosestZone(name string) string {
	if z, ok := zoneAliases[strings.ToLower(strings.TrimSpace(name))]; ok {
		return z
	}
	names := Zones()
	if s := text.Closest(name, names); s != "" {
		return s
	}
	for _, n := range names { // only the city was written
		if _, city, ok := strings.Cut(n, "/"); ok && text.FoldWord(city) == text.FoldWord(name) {
			return n
		}
	}
	return ""
}

// fixedPlaces maps an offset in winter, in hours from UTC, to a place with that offset and summer time.
var fixedPlaces = map[int]string{
	-9: "America/Anchorage", -8: "America/Los_Angeles", -7: "America/Denver", -6: "America/Chicago", -5: "America/New_York", -4: "America/Halifax",
	0: "Europe/London", 1: "Europe/Paris", 2: "Europe/Athens", 10: "Australia/Sydney", 12: "Pacific/Auckland",
}

var fixedName = regexp.MustCompile(`^(?:Etc/)?GMT(?:([+-])?([0-9]{1,2}))?$`)

// NoSummer says why a zone has no summer time by accident: its name is that of a fixed offset, where a place was
// probably meant. place is the most likely one. It returns "" if no place with that offset has summer time.
func NoSummer(name string) (place, why string) {
	hours := 0
	switch m := fixedName.FindStringSubmatch(name); {
	case name == "EST":
		hours = -5
	case name == "MST": // HST, of Hawaii, never changes
		hours = -7
	case name == "Greenwich", name == "Etc/Greenwich":
	case m != nil:
		hours, _ = strconv.Atoi("0" + m[2]) // digits
		if m[1] == "+" {                    // in these names the sign is reversed
			hours = -hours
		}
	default:
		return "", ""
	}
	if place = fixedPlaces[hours]; place == "" {
		return "", ""
	}
	why = name + " has no summer time"
	if strings.ContainsAny(name, "+-") && hours != 0 {
		n, side := hours, "east"
		if n < 0 {
			n, side = -n, "west"
		}
		why = fmt.Sprintf("%s is %d %s %s of UTC all year, without summer time", name, n, plural(n == 1, "hour", "hours"), side)
	}
	return place, why + "; write the place, such as " + place
}
