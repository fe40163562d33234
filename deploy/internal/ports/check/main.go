// Command check prints what is wrong with the ports that make run needs, a line each; nothing where all are free.
package main

import (
	"fmt"
	"os"

	"github.com/orderwire/orderwire/deploy/internal/ports"
)

func main() {
	if err := ports.Check(os.Getenv, ports.Needed(os.Getenv, false)); err != nil {
		fmt.Println(err)
	}
}
