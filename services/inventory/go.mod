module github.com/orderwire/orderwire/services/inventory

go 1.26

require (
	github.com/orderwire/orderwire/pkg v0.0.0-00010101000000-000000000000
	github.com/orderwire/orderwire/proto-events v0.0.0-00010101000000-000000000000
)

replace github.com/orderwire/orderwire/pkg => ../../pkg

replace github.com/orderwire/orderwire/proto-events => ../../proto-events
