package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/internal/client"
)

func TestDirect_StackSaysWhereEverythingIsAndFlagsAddToIt(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stack.json")
	require.NoError(t, os.WriteFile(file, []byte(`{"kafka":{"kind":"kfake","brokers":["127.0.0.1:1","127.0.0.1:2"]},
		"mongodb":{"uri":"mongodb://127.0.0.1:3","databases":{"order-api":"orders-1","inventory":"inventory-1"}}}`), 0o600))
	d := direct{Stack: file, Databases: map[string]string{"inventory": "mine"}}
	conf, err := d.kafka([]string{"KAFKA_BROKERS=elsewhere:1", "KAFKA_TLS=true"})
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:1", "127.0.0.1:2"}, conf.Brokers)
	require.True(t, conf.TLS, "the services' own variables count")
	require.Equal(t, "mongodb://127.0.0.1:3", d.MongoDB)
	require.Equal(t, map[string]string{"order-api": "orders-1", "inventory": "mine", "shipping": "shipping"}, d.Databases)

	require.NoError(t, os.WriteFile(file, []byte(`ready`), 0o600))
	_, err = d.kafka(nil)
	require.ErrorContains(t, err, "not what up --json prints")
}

func TestDirect_ABrokerThatIsAwayIsUnreachableAndNonsenseIsUsage(t *testing.T) {
	for _, away := range [][]string{{"dlq", "list"}, {"tail"}, {"dlq", "redrive", "--all"}} {
		code, out, errOut := orderctl(nil, append(away, "--kafka", "127.0.0.1:1")...)
		require.Equal(t, exitUnreachable, code, "%s: %s", away, errOut)
		require.Empty(t, out)
	}
	for _, away := range [][]string{{"explain", "o-1"}, {"audit"}} {
		code, out, errOut := orderctl(nil, append(away, "--json", "--kafka", "127.0.0.1:1", "--mongodb", "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100")...)
		require.Equal(t, exitUnreachable, code, "%s: %s", away, errOut)
		var told client.Problem
		require.NoError(t, json.Unmarshal([]byte(out), &told), out)
		require.Equal(t, "unreachable", told.Code)
		require.NotEmpty(t, told.Detail)
	}
	for _, wrong := range [][]string{
		{"dlq", "redrive"},
		{"dlq", "discard"},
		{"dlq", "redrive", "inventory"},
		{"tail", "--follow", "--until", "2026-11-25T16:00:00Z"},
		{"tail", "--since", "1m", "--from", "2026-11-25T16:00:00Z"},
		{"stuck", "--deadline", "lost=1m"},
		{"stuck", "--limit", "0"},
		{"replay", "--service", "notifier"},
		{"explain"},
	} {
		code, _, errOut := orderctl(nil, wrong...)
		require.Equal(t, exitUsage, code, wrong)
		require.NotEmpty(t, errOut, wrong)
	}
}

func TestPrintable_LetsNothingDriveTheTerminal(t *testing.T) {
	require.Equal(t, "Zürich 猫", printable("Zürich 猫"))
	require.Equal(t, `"\x1b[2J"`, printable("\x1b[2J"))
	require.Equal(t, `"\xff"`, printable("\xff"))
	require.Equal(t, "ab…", short("abcd", 3))
}
