module github.com/orderwire/orderwire/proto-events

go 1.26

require google.golang.org/protobuf v1.36.12

require gopkg.in/yaml.v3 v3.0.1

require (
	github.com/stretchr/testify v1.12.1
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)
