module github.com/orderwire/orderwire/pkg

go 1.26
