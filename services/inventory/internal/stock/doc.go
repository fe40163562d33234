// Package stock holds the rules of inventory: what there is of each SKU, and what an order does to it.
//
// Every piece of stock that was ever brought in is in one of four buckets: available, reserved, shipped or written
// off. An order's reservation is all of its items in one bucket, or none of them anywhere. What inventory's two
// upstreams last said implies the bucket; a move always starts at the reservation's own one, so the counters balance
// whatever the order of news is.
//
// The rules decide in memory and know no technology: package store reads what they need and writes what they changed.
package stock
