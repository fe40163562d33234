package order

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of what a client may say. Together they keep an order's events far below a topic's maximum of 1 MB.
const (
	MaxItems       = 100
	MaxQuantity    = 1_000
	MaxNote        = 1_000 // characters
	MaxAddressLine = 200   // characters
	MaxProductName = 200   // characters
	// MaxPrice keeps the largest total within what a JavaScript number holds exactly.
	MaxPrice = 10_000_000_000
)

// FieldError says what is wrong with one field; Pointer is a JSON pointer (RFC 6901) into the request.
type FieldError struct{ Pointer, Code, Detail string }

// InvalidError lists all that is wrong with a request.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Pointer + ": " + f.Detail
	}
	return strings.Join(parts, "; ")
}

// problems collects field errors.
type problems []FieldError

func (p *problems) add(pointer, code, detail string) {
	*p = append(*p, FieldError{pointer, code, detail})
}

func (p *problems) err() error {
	if len(*p) == 0 {
		return nil
	}
	return &InvalidError{Fields: *p}
}

func (p *problems) address(pointer string, a Address) {
	p.addressLine(pointer+"/name", "name", a.Name)
	p.addressLine(pointer+"/street", "street", a.Street)
	p.addressLine(pointer+"/city", "city", a.City)
	p.addressLine(pointer+"/postalCode", "postalCode", a.PostalCode)
	p.addressLine(pointer+"/country", "country", a.Country)
}

func (p *problems) addressLine(pointer, name, value string) {
	if name == "country" {
		switch {
		case value == "":
			p.add(pointer, "required", "country is required")
		case !countries[value]:
			p.add(pointer, "country", "country must be an ISO 3166-1 alpha-2 code, such as DE")
		}
		return
	}
	p.line(pointer, name, value, MaxAddressLine)
}

// line checks a text of one line that must not be empty.
func (p *problems) line(pointer, name, value string, limit int) {
	switch {
	case strings.TrimSpace(value) == "":
		p.add(pointer, "required", name+" is required")
	case utf8.RuneCountInString(value) > limit:
		p.add(pointer, "too_long", fmt.Sprintf("%s may have %d characters", name, limit))
	case strings.ContainsFunc(value, unicode.IsControl):
		p.add(pointer, "control_character", name+" must not contain control characters")
	}
}

func (p *problems) customer(pointer, name string) {
	if !customer.MatchString(name) {
		p.add(pointer, "customer", "a customer is 1 to 128 printable ASCII characters without a space")
	}
}

func (p *problems) note(value string) {
	if utf8.RuneCountInString(value) > MaxNote {
		p.add("/note", "too_long", fmt.Sprintf("note may have %d characters", MaxNote))
	}
}

var (
	// customer is what a token may have as its subject, and fits a record header.
	customer = regexp.MustCompile(`^[!-~]{1,128}$`)
	sku      = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,63}$`)
	currency = regexp.MustCompile(`^[A-Z]{3}$`)
)

// ValidSKU tells whether s has the form of an SKU.
func ValidSKU(s string) bool { return sku.MatchString(s) }

// countries are the officially assigned codes of ISO 3166-1 alpha-2.
var countries = func() map[string]bool {
	const codes = `AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ
CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD GE GF
GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW
KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL
NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST
SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW`
	set := map[string]bool{}
	for _, c := range strings.Fields(codes) {
		set[c] = true
	}
	return set
}()
