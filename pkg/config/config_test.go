package config_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/pkg/config"
)

type part struct {
	Brokers []string      `env:"KAFKA_BROKERS,required"`
	Wait    time.Duration `env:"WAIT" envDefault:"5s"`
	Max     int           `env:"MAX" envDefault:"3"`
}

func (p part) Validate() error {
	if p.Max < 1 {
		return errors.New("MAX must be 1 or more")
	}
	return nil
}

type whole struct {
	part
	Part  part
	Debug bool `env:"DEBUG"`
}

func (w whole) Validate() error {
	if w.Debug {
		return errors.New("DEBUG must be off")
	}
	return nil
}

func TestParse_FillsNestedStructsAndDefaults(t *testing.T) {
	conf, err := config.Parse[whole]([]string{"KAFKA_BROKERS=a:1,b:2", "WAIT=2m"}, "WAIT=1m", "MAX=3")
	require.NoError(t, err)
	require.Equal(t, part{[]string{"a:1", "b:2"}, 2 * time.Minute, 3}, conf.Part)
}

func TestParse_TellsEverythingThatIsWrongByItsVariable(t *testing.T) {
	_, err := config.Parse[whole]([]string{"WAIT=soon", "MAX=many"})
	for _, name := range []string{"KAFKA_BROKERS", "WAIT", "MAX"} {
		require.ErrorContains(t, err, name)
	}
	_, err = config.Parse[whole]([]string{"KAFKA_BROKERS=a:1", "MAX=0", "DEBUG=true"})
	require.ErrorContains(t, err, "MAX must be 1 or more")
	require.ErrorContains(t, err, "DEBUG must be off")
}
