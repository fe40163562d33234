package audit

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Whoever ends an audit gets that back; a database that lets the time run out is away.
func TestAudit_EndingItIsNoDatabaseThatIsAway(t *testing.T) {
	const nowhere = "mongodb://127.0.0.1:1"
	client, err := mongo.Connect(options.Client().ApplyURI(nowhere))
	require.NoError(t, err)
	defer func() { require.NoError(t, client.Disconnect(context.WithoutCancel(t.Context()))) }()
	orders := client.Database("orders").Collection("orders")
	a := &auditor{config: Config{MongoDB: nowhere, Databases: Databases{OrderAPI: "orders"}}}

	ended, end := context.WithCancel(t.Context())
	end()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()
	for name, ask := range map[string]func(context.Context) error{
		"connect": func(ctx context.Context) error { _, err := a.documents(ctx); return err },
		"scan": func(ctx context.Context) error {
			return scan(ctx, orders, everything, lean, func(*storedOrder) error { return nil })
		},
		"present": func(ctx context.Context) error { _, err := present(ctx, orders, []string{"o-1"}); return err },
	} {
		var away *UnreachableError
		err := ask(ended)
		require.ErrorIs(t, err, context.Canceled, name)
		require.NotErrorAs(t, err, &away, name)
		require.ErrorAs(t, ask(late), &away, name)
	}
}
