package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/orderwire/orderwire/deploy/audit"
)

func TestAudit_SaysWhatIsAwayAndWhatIsAskedWrongly(t *testing.T) {
	code, _, errOut := orderctl(nil, "audit", "--kafka", "127.0.0.1:1")
	require.Equal(t, exitUnreachable, code, errOut)
	require.Contains(t, errOut, "Kafka")

	for _, args := range [][]string{
		{"--follow", "--quiesced"}, {"--live", "--quiesced"}, {"--ignore", filepath.Join(t.TempDir(), "missing")},
	} {
		code, _, errOut = orderctl(nil, append([]string{"audit"}, args...)...)
		require.Equal(t, exitUsage, code, errOut)
	}
}

func TestAudit_TakesAFileOfCoordinates(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ignore")
	require.NoError(t, os.WriteFile(file, []byte(`{"topic":`), 0o600))
	code, _, errOut := orderctl(nil, "audit", "--ignore", file)
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "--ignore")
	require.Contains(t, errOut, "record 1")
}

// What --stack reads is what up --json prints.
func TestAudit_FindsEverythingByTheLineOfUp(t *testing.T) {
	raw, err := json.Marshal(description{
		Kafka:   kafkaDescription{Kind: "kfake", Brokers: []string{"127.0.0.1:1"}},
		MongoDB: mongoDescription{URI: "mongodb://127.0.0.1:2", Databases: map[string]string{"order-api": "orders-x", "inventory": "inventory-x", "shipping": "shipping-x"}},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "stack.json")
	require.NoError(t, os.WriteFile(file, raw, 0o600))
	a := auditCmd{direct: direct{Stack: file}}
	c, err := a.config(&terminal{})
	require.NoError(t, err)
	require.Equal(t, []string{"127.0.0.1:1"}, c.Kafka.Brokers)
	require.Equal(t, "mongodb://127.0.0.1:2", c.MongoDB)
	require.Equal(t, "orders-x", c.Databases.OrderAPI)
	require.Equal(t, "inventory-x", c.Databases.Inventory)
	require.Equal(t, "shipping-x", c.Databases.Shipping)
}

func TestAudit_SaysHowManyViolationsItLeavesOut(t *testing.T) {
	report := &audit.Report{Invariants: []*audit.Invariant{{ID: "I2", Total: 3, LeftOut: 2, Violations: []audit.Violation{{Detail: "one"}}}}}
	var out bytes.Buffer
	require.NoError(t, (&auditCmd{}).print(&terminal{out: &out}, report, time.Now()))
	require.Contains(t, out.String(), "I2: one\nI2: and 2 more (--all lists them)\n")
}

// Right after a load a red audit is no news: it says so, and apart from that what is wrong at any time.
func TestAudit_SaysWhatMayOnlyBeThatThingsStillMove(t *testing.T) {
	report := &audit.Report{
		Invariants: []*audit.Invariant{
			{ID: "I3", Total: 2, Violations: []audit.Violation{{Detail: "lost"}}},
			{ID: "I8", Total: 3, Violations: []audit.Violation{{Detail: "waits", Moving: true}}},
		},
		Moving: &audit.Moving{Violations: 3, Orders: 2},
	}
	began := time.Date(2026, 11, 25, 12, 3, 0, 0, time.Local)
	says := func() string {
		t.Helper()
		var out bytes.Buffer
		require.NoError(t, (&auditCmd{}).print(&terminal{out: &out}, report, began))
		return out.String()
	}
	out := says()
	require.Contains(t, out, "I3: lost\n")
	require.Contains(t, out, "I8 (not at rest): waits\n")
	require.Contains(t, out, "2 order(s) not at rest yet: 3 of the 5 violations")
	require.Contains(t, out, "within seconds, where all services run: audit again")
	require.Contains(t, out, "The other 2 are real now.")

	report.Moving.Parcels, report.Moving.Due = 7, began.Add(20*time.Second)
	report.Invariants[0].Total = 0
	out = says()
	require.Contains(t, out, "carrier acts on 7 parcels until 12:03:20 at least")
	require.NotContains(t, out, "within seconds")
	require.NotContains(t, out, "real now")

	report.Moving.Due = began.AddDate(0, 0, 1)
	require.Contains(t, says(), "until 2026-11-26 12:03:00 at least")

	report.Moving.Due = began.Add(-time.Second)
	out = says()
	require.Contains(t, out, "overdue with 7 parcels: is shipping running?")
	require.NotContains(t, out, "at least")

	report.Moving.Orders = 0
	require.Contains(t, says(), "Something is not at rest yet")

	report.Moving = nil
	require.NotContains(t, says(), "not at rest yet")
}
