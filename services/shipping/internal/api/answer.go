package api

import (
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/orderwire/orderwire/pkg/web"
	events "github.com/orderwire/orderwire/proto-events"
	"github.com/orderwire/orderwire/services/shipping/internal/shipment"
)

// answer is a shipment as its events show it, with its history.
func answer(c echo.Context, status int, s *shipment.Shipment) error {
	return web.JSON(c, status, appendShipment(nil, s))
}

func appendShipment(dst []byte, s *shipment.Shipment) []byte {
	dst = events.AppendJSON(dst, s.Snapshot())
	dst = append(dst[:len(dst)-1], `,"history":[`...)
	for i, l := range s.History {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"time":"`...)
		dst = l.Time.UTC().AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, `","type":"`...) // a word of the catalog needs no escaping
		dst = append(dst, l.Type...)
		dst = append(dst, `","sequence":`...)
		dst = strconv.AppendInt(dst, l.Sequence, 10)
		dst = append(dst, `,"version":`...)
		dst = strconv.AppendInt(dst, l.Version, 10)
		dst = append(dst, '}')
	}
	return append(dst, "]}"...)
}

// appendList writes a page with the same bytes for a shipment as everywhere else.
func appendList(dst []byte, page []*shipment.Shipment, more bool) []byte {
	dst = append(dst, `{"items":[`...)
	for i, s := range page {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendShipment(dst, s)
	}
	dst = append(dst, ']')
	if more {
		dst = append(dst, `,"next":"`...) // a cursor needs no escaping
		dst = append(dst, web.EncodeCursor(position{page[len(page)-1].ID})...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}
