package main

import (
	"errors"
	"reflect"
	"time"

	"github.com/alecthomas/kong"
)

// given is how flags and arguments with `type:"given"` are read: those that say what a command is about. Empty, as an
// unset variable of a script is, or with a time of zero or less, they would pick everything instead of nothing; and with an
// empty Idempotency-Key, what is said twice would be done twice.
type given struct{ plain *kong.Registry }

func newGiven() given { return given{kong.NewRegistry().RegisterDefaults()} }

// Decode refuses what picks nothing.
func (g given) Decode(ctx *kong.DecodeContext, target reflect.Value) error {
	if s, ok := ctx.Scan.Peek().Value.(string); ok && s == "" {
		return errors.New("it is empty: want a value")
	}
	if err := g.plain.ForType(target.Type()).Decode(ctx, target); err != nil {
		return err
	}
	if d, ok := target.Interface().(time.Duration); ok && d <= 0 {
		return errors.New("want a time above 0, as 1h30m")
	}
	return nil
}
