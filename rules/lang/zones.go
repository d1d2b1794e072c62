package lang

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
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
	for _, try := range []string{strings.Join(parts, "/"), strings.ToUpper(strings.TrimSpace(name))} {
		if z, ok := LoadZone(try); ok {
			return z, true
		}
	}
	return nil, false
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

// quarters are the zones for the offsets in use: every quarter of an hour from -12:00 to +14:00.
var quarters = func() (zones [26*4 + 1]*time.Location) {
	for i := range zones {
		zones[i] = time.FixedZone("", (i*15-12*60)*60)
	}
	return zones
}()

// odd holds the zones for other offsets. There are few, because a day has few minutes.
var odd sync.Map

// OffsetZone returns the zone that is minutes east of UTC, less than a day. The same zone is always the same value.
func OffsetZone(minutes int) *time.Location {
	if i := minutes + 12*60; i >= 0 && i%15 == 0 && i/15 < len(quarters) {
		return quarters[i/15]
	}
	z, ok := odd.Load(minutes)
	if !ok {
		z, _ = odd.LoadOrStore(minutes, time.FixedZone("", minutes*60))
	}
	return z.(*time.Location)
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
// unchanged.
func (r *Machine) Settled(t time.Time) time.Time {
	if r.Zone != nil && wholeDays.has(t) {
		return shift(t, r.Zone)
	}
	return t
}

// shift returns a time in a zone. A time that was counted from a whole day keeps what its clock shows.
func shift(t time.Time, zone *time.Location) time.Time {
	if wholeDays.has(t) {
		return Clock(shown(t), zone)
	}
	return t.In(zone)
}

// zoneNames are the zones of the IANA database, for suggestions only.
const zoneNames = `
Africa/Abidjan Africa/Accra Africa/Addis_Ababa Africa/Algiers Africa/Asmara Africa/Asmera Africa/Bamako Africa/Bangui Africa/Banjul Africa/Bissau
Africa/Blantyre Africa/Brazzaville Africa/Bujumbura Africa/Cairo Africa/Casablanca Africa/Ceuta Africa/Conakry Africa/Dakar Africa/Dar_es_Salaam
Africa/Djibouti Africa/Douala Africa/El_Aaiun Africa/Freetown Africa/Gaborone Africa/Harare Africa/Johannesburg Africa/Juba Africa/Kampala
Africa/Khartoum Africa/Kigali Africa/Kinshasa Africa/Lagos Africa/Libreville Africa/Lome Africa/Luanda Africa/Lubumbashi Africa/Lusaka Africa/Malabo
Africa/Maputo Africa/Maseru Africa/Mbabane Africa/Mogadishu Africa/Monrovia Africa/Nairobi Africa/Ndjamena Africa/Niamey Africa/Nouakchott
Africa/Ouagadougou Africa/Porto-Novo Africa/Sao_Tome Africa/Timbuktu Africa/Tripoli Africa/Tunis Africa/Windhoek America/Adak America/Anchorage
America/Anguilla America/Antigua America/Araguaina America/Argentina/Buenos_Aires America/Argentina/Catamarca America/Argentina/ComodRivadavia
America/Argentina/Cordoba America/Argentina/Jujuy America/Argentina/La_Rioja America/Argentina/Mendoza America/Argentina/Rio_Gallegos
America/Argentina/Salta America/Argentina/San_Juan America/Argentina/San_Luis America/Argentina/Tucuman America/Argentina/Ushuaia America/Aruba
America/Asuncion America/Atikokan America/Atka America/Bahia America/Bahia_Banderas America/Barbados America/Belem America/Belize
America/Blanc-Sablon America/Boa_Vista America/Bogota America/Boise America/Buenos_Aires America/Cambridge_Bay America/Campo_Grande America/Cancun
America/Caracas America/Catamarca America/Cayenne America/Cayman America/Chicago America/Chihuahua America/Ciudad_Juarez America/Coral_Harbour
America/Cordoba America/Costa_Rica America/Coyhaique America/Creston America/Cuiaba America/Curacao America/Danmarkshavn America/Dawson
America/Dawson_Creek America/Denver America/Detroit America/Dominica America/Edmonton America/Eirunepe America/El_Salvador America/Ensenada
America/Fort_Nelson America/Fort_Wayne America/Fortaleza America/Glace_Bay America/Godthab America/Goose_Bay America/Grand_Turk America/Grenada
America/Guadeloupe America/Guatemala America/Guayaquil America/Guyana America/Halifax America/Havana America/Hermosillo America/Indiana/Indianapolis
America/Indiana/Knox America/Indiana/Marengo America/Indiana/Petersburg America/Indiana/Tell_City America/Indiana/Vevay America/Indiana/Vincennes
America/Indiana/Winamac America/Indianapolis America/Inuvik America/Iqaluit America/Jamaica America/Jujuy America/Juneau America/Kentucky/Louisville
America/Kentucky/Monticello America/Knox_IN America/Kralendijk America/La_Paz America/Lima America/Los_Angeles America/Louisville
America/Lower_Princes America/Maceio America/Managua America/Manaus America/Marigot America/Martinique America/Matamoros America/Mazatlan
America/Mendoza America/Menominee America/Merida America/Metlakatla America/Mexico_City America/Miquelon America/Moncton America/Monterrey
America/Montevideo America/Montreal America/Montserrat America/Nassau America/New_York America/Nipigon America/Nome America/Noronha
America/North_Dakota/Beulah America/North_Dakota/Center America/North_Dakota/New_Salem America/Nuuk America/Ojinaga America/Panama
America/Pangnirtung America/Paramaribo America/Phoenix America/Port-au-Prince America/Port_of_Spain America/Porto_Acre America/Porto_Velho
America/Puerto_Rico America/Punta_Arenas America/Rainy_River America/Rankin_Inlet America/Recife America/Regina America/Resolute America/Rio_Branco
America/Rosario America/Santa_Isabel America/Santarem America/Santiago America/Santo_Domingo America/Sao_Paulo America/Scoresbysund America/Shiprock
America/Sitka America/St_Barthelemy America/St_Johns America/St_Kitts America/St_Lucia America/St_Thomas America/St_Vincent America/Swift_Current
America/Tegucigalpa America/Thule America/Thunder_Bay America/Tijuana America/Toronto America/Tortola America/Vancouver America/Virgin
America/Whitehorse America/Winnipeg America/Yakutat America/Yellowknife Antarctica/Casey Antarctica/Davis Antarctica/DumontDUrville
Antarctica/Macquarie Antarctica/Mawson Antarctica/McMurdo Antarctica/Palmer Antarctica/Rothera Antarctica/South_Pole Antarctica/Syowa
Antarctica/Troll Antarctica/Vostok Asia/Aden Asia/Almaty Asia/Amman Asia/Anadyr Asia/Aqtau Asia/Aqtobe Asia/Ashgabat Asia/Ashkhabad Asia/Atyrau
Asia/Baghdad Asia/Bahrain Asia/Baku Asia/Bangkok Asia/Barnaul Asia/Beirut Asia/Bishkek Asia/Brunei Asia/Calcutta Asia/Chita Asia/Choibalsan
Asia/Chongqing Asia/Chungking Asia/Colombo Asia/Dacca Asia/Damascus Asia/Dhaka Asia/Dili Asia/Dubai Asia/Dushanbe Asia/Famagusta Asia/Gaza
Asia/Harbin Asia/Hebron Asia/Ho_Chi_Minh Asia/Hong_Kong Asia/Hovd Asia/Irkutsk Asia/Istanbul Asia/Jakarta Asia/Jayapura Asia/Jerusalem Asia/Kabul
Asia/Kamchatka Asia/Karachi Asia/Kashgar Asia/Kathmandu Asia/Katmandu Asia/Khandyga Asia/Kolkata Asia/Krasnoyarsk Asia/Kuala_Lumpur Asia/Kuching
Asia/Kuwait Asia/Macao Asia/Macau Asia/Magadan Asia/Makassar Asia/Manila Asia/Muscat Asia/Nicosia Asia/Novokuznetsk Asia/Novosibirsk Asia/Omsk
Asia/Oral Asia/Phnom_Penh Asia/Pontianak Asia/Pyongyang Asia/Qatar Asia/Qostanay Asia/Qyzylorda Asia/Rangoon Asia/Riyadh Asia/Saigon Asia/Sakhalin
Asia/Samarkand Asia/Seoul Asia/Shanghai Asia/Singapore Asia/Srednekolymsk Asia/Taipei Asia/Tashkent Asia/Tbilisi Asia/Tehran Asia/Tel_Aviv
Asia/Thimbu Asia/Thimphu Asia/Tokyo Asia/Tomsk Asia/Ujung_Pandang Asia/Ulaanbaatar Asia/Ulan_Bator Asia/Urumqi Asia/Ust-Nera Asia/Vientiane
Asia/Vladivostok Asia/Yakutsk Asia/Yangon Asia/Yekaterinburg Asia/Yerevan Atlantic/Azores Atlantic/Bermuda Atlantic/Canary Atlantic/Cape_Verde
Atlantic/Faeroe Atlantic/Faroe Atlantic/Jan_Mayen Atlantic/Madeira Atlantic/Reykjavik Atlantic/South_Georgia Atlantic/St_Helena Atlantic/Stanley
Australia/ACT Australia/Adelaide Australia/Brisbane Australia/Broken_Hill Australia/Canberra Australia/Currie Australia/Darwin Australia/Eucla
Australia/Hobart Australia/LHI Australia/Lindeman Australia/Lord_Howe Australia/Melbourne Australia/NSW Australia/North Australia/Perth
Australia/Queensland Australia/South Australia/Sydney Australia/Tasmania Australia/Victoria Australia/West Australia/Yancowinna Europe/Amsterdam
Europe/Andorra Europe/Astrakhan Europe/Athens Europe/Belfast Europe/Belgrade Europe/Berlin Europe/Bratislava Europe/Brussels Europe/Bucharest
Europe/Budapest Europe/Busingen Europe/Chisinau Europe/Copenhagen Europe/Dublin Europe/Gibraltar Europe/Guernsey Europe/Helsinki Europe/Isle_of_Man
Europe/Istanbul Europe/Jersey Europe/Kaliningrad Europe/Kiev Europe/Kirov Europe/Kyiv Europe/Lisbon Europe/Ljubljana Europe/London Europe/Luxembourg
Europe/Madrid Europe/Malta Europe/Mariehamn Europe/Minsk Europe/Monaco Europe/Moscow Europe/Nicosia Europe/Oslo Europe/Paris Europe/Podgorica
Europe/Prague Europe/Riga Europe/Rome Europe/Samara Europe/San_Marino Europe/Sarajevo Europe/Saratov Europe/Simferopol Europe/Skopje Europe/Sofia
Europe/Stockholm Europe/Tallinn Europe/Tirane Europe/Tiraspol Europe/Ulyanovsk Europe/Uzhgorod Europe/Vaduz Europe/Vatican Europe/Vienna
Europe/Vilnius Europe/Volgograd Europe/Warsaw Europe/Zagreb Europe/Zaporozhye Europe/Zurich GMT Indian/Antananarivo Indian/Chagos Indian/Christmas
Indian/Cocos Indian/Comoro Indian/Kerguelen Indian/Mahe Indian/Maldives Indian/Mauritius Indian/Mayotte Indian/Reunion Pacific/Apia Pacific/Auckland
Pacific/Bougainville Pacific/Chatham Pacific/Chuuk Pacific/Easter Pacific/Efate Pacific/Enderbury Pacific/Fakaofo Pacific/Fiji Pacific/Funafuti
Pacific/Galapagos Pacific/Gambier Pacific/Guadalcanal Pacific/Guam Pacific/Honolulu Pacific/Johnston Pacific/Kanton Pacific/Kiritimati Pacific/Kosrae
Pacific/Kwajalein Pacific/Majuro Pacific/Marquesas Pacific/Midway Pacific/Nauru Pacific/Niue Pacific/Norfolk Pacific/Noumea Pacific/Pago_Pago
Pacific/Palau Pacific/Pitcairn Pacific/Pohnpei Pacific/Ponape Pacific/Port_Moresby Pacific/Rarotonga Pacific/Saipan Pacific/Samoa Pacific/Tahiti
Pacific/Tarawa Pacific/Tongatapu Pacific/Truk Pacific/Wake Pacific/Wallis Pacific/Yap UTC
`

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
	names := strings.Fields(zoneNames)
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
