package events

import (
	"google.golang.org/protobuf/proto"
)

// Changed names the fields that differ between two snapshots of one source, as the JSON form spells them, in the order
// of the schema. version and updatedAt differ always and are left out.
func Changed(before, after Snapshot) []string {
	var names []string
	a, b := before.ProtoReflect(), after.ProtoReflect()
	fields := a.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if f.Name() == "version" || f.Name() == "updated_at" {
			continue
		}
		// Comparing messages that hold this one field only compares the field, whatever its kind is.
		x, y := a.New(), b.New()
		if a.Has(f) {
			x.Set(f, a.Get(f))
		}
		if b.Has(f) {
			y.Set(f, b.Get(f))
		}
		if !proto.Equal(x.Interface(), y.Interface()) {
			names = append(names, f.JSONName())
		}
	}
	return names
}
