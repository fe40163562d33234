module example.com/shop

go 1.26.0

require github.com/orderwire/orderwire/deploy v0.0.0-00010101000000-000000000000

replace github.com/orderwire/orderwire/deploy => ../..
