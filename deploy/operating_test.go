package deploy_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// metricName is how OPERATING.md writes a metric: in backquotes, with or without its labels.
var metricName = regexp.MustCompile("`((?:order|outbox|consumer|kafka|mongodb|notifier|http)_[a-z_]+)[`{]")

// Whoever renames a metric changes the page that tells operators to look at it.
func TestOperating_NamesMetricsThatThereAre(t *testing.T) {
	page, err := os.ReadFile("OPERATING.md")
	require.NoError(t, err)
	var code strings.Builder
	for _, root := range []string{"../pkg", "../services"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() == "node_modules" {
				return filepath.SkipDir
			}
			if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return nil
			}
			raw, err := os.ReadFile(path)
			code.Write(raw)
			return err
		}))
	}
	names := metricName.FindAllStringSubmatch(string(page), -1)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		known := strings.Contains(code.String(), `"`+name[1]+`"`) ||
			strings.Contains(code.String(), `("`+strings.TrimPrefix(name[1], "outbox_")+`"`) // they share a namespace
		require.True(t, known, name[1])
	}
}
