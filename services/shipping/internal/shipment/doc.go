// Package shipment holds the rules of a shipment: what becomes of it when inventory asks and when the carrier acts, and
// what a parcel costs. It knows no technology.
//
//	scheduled ─▶ dispatched ─▶ delivered
//	    │            └───────▶ failed (refused: the goods come back; lost: they do not)
//	    └─▶ cancelled
//
// A parcel that has not left can be sent elsewhere or stopped; one that has left cannot, and shipping says so once for
// each time it is asked. A parcel fails on its way only: what never left is cancelled instead.
package shipment
