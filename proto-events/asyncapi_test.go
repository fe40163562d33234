package events_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	events "github.com/orderwire/orderwire/proto-events"
)

type ref struct {
	Ref string `yaml:"$ref"`
}

// asyncAPI is the part of an AsyncAPI 3 document that must agree with the catalog.
type asyncAPI struct {
	AsyncAPI string
	Channels map[string]struct {
		Address  string
		Messages map[string]ref
	}
	Operations map[string]struct {
		Action   string
		Channel  ref
		Messages []ref
	}
	Components struct {
		Messages map[string]struct {
			Headers struct {
				Properties map[string]struct{ Const string }
			}
			Payload struct{ Schema ref }
		}
		MessageTraits struct {
			CloudEvent struct {
				Headers struct{ Required []string }
			} `yaml:"cloudEvent"`
		} `yaml:"messageTraits"`
	}
}

// TestAsyncAPI_SaysWhatTheCatalogSays compares channels, messages, senders and readers in both directions.
func TestAsyncAPI_SaysWhatTheCatalogSays(t *testing.T) {
	raw, err := os.ReadFile("asyncapi.yaml")
	require.NoError(t, err)
	var doc asyncAPI
	require.NoError(t, yaml.Unmarshal(raw, &doc))
	require.Equal(t, "3.0.0", doc.AsyncAPI)
	require.Len(t, doc.Components.Messages, len(events.Types()))

	sends, receives := map[string]bool{}, map[string]bool{}
	for name, op := range doc.Operations {
		service, _, ok := strings.Cut(name, "-"+op.Action+"-")
		require.True(t, ok, name)
		for _, m := range op.Messages {
			require.True(t, strings.HasPrefix(m.Ref, op.Channel.Ref+"/messages/"), "%s: %s", name, m.Ref)
			typ := m.Ref[strings.LastIndex(m.Ref, "/")+1:]
			map[string]map[string]bool{"send": sends, "receive": receives}[op.Action][service+" "+typ] = true
		}
	}
	messages := 0
	for _, channel := range doc.Channels {
		messages += len(channel.Messages)
	}
	require.Equal(t, len(events.Types()), messages)
	readers := 0
	for _, typ := range events.Types() {
		info, _ := events.Lookup(typ)
		m := doc.Components.Messages[string(typ)]
		require.Equal(t, string(typ), m.Headers.Properties["ce_type"].Const)
		require.Equal(t, string(info.Source), m.Headers.Properties["ce_source"].Const)
		require.Equal(t, info.Topic, doc.Channels[info.Topic].Address)
		require.Contains(t, doc.Channels[info.Topic].Messages, string(typ))
		require.True(t, sends[string(info.Source)+" "+string(typ)], "%s sends %s", info.Source, typ)
		for _, reader := range info.Readers {
			require.True(t, receives[reader+" "+string(typ)], "%s receives %s", reader, typ)
			readers++
		}
		file, message, ok := strings.Cut(m.Payload.Schema.Ref, "#")
		require.True(t, ok)
		require.FileExists(t, file)
		require.Equal(t, string(events.NewBody(typ).ProtoReflect().Descriptor().FullName()), message)
	}
	require.Len(t, sends, len(events.Types()))
	require.Len(t, receives, readers)
}

// TestAsyncAPI_NamesEveryHeaderThatIsAlwaysWritten compares the required headers with an encoded event.
func TestAsyncAPI_NamesEveryHeaderThatIsAlwaysWritten(t *testing.T) {
	raw, err := os.ReadFile("asyncapi.yaml")
	require.NoError(t, err)
	var doc asyncAPI
	require.NoError(t, yaml.Unmarshal(raw, &doc))
	e := examples()[0]
	e.TraceParent, e.Changed = "", nil
	headers, _, err := events.Encode(e)
	require.NoError(t, err)
	var names []string
	for _, h := range headers {
		names = append(names, h.Key)
	}
	require.ElementsMatch(t, names, doc.Components.MessageTraits.CloudEvent.Headers.Required)
}
