package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const caddyPackage = "github.com/caddyserver/caddy/v2"

// PrepareCaddy makes sure that the Caddy which the module in the directory tools pins is in the cache, and gives its
// path; it builds it where it is not, in three minutes or so. The gateway of compose and Kubernetes is tested with it.
func PrepareCaddy(ctx context.Context, environ []string, tools string, say Progress) (string, error) {
	cache, err := cacheDir(environ)
	if err != nil {
		return "", err
	}
	asked := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Version}}", caddyPackage)
	asked.Dir = tools
	asked.Env = append(os.Environ(), "GOWORK=off")
	version, err := asked.Output()
	if err != nil {
		return "", fmt.Errorf("which Caddy does %s pin: %w", tools, err)
	}
	path := filepath.Join(cache, "caddy-"+strings.TrimPrefix(strings.TrimSpace(string(version)), "v"), "caddy")
	if exists(path) {
		return path, nil
	}
	err = locked(ctx, cache, say, func() error {
		if exists(path) {
			return nil
		}
		say("building Caddy %s, once: about 3 minutes on two cores", strings.TrimSpace(string(version)))
		// Under another name first: a build cut short must not look complete.
		part := path + ".part"
		if err := runTool(ctx, say, "building Caddy", "", "env", "GOWORK=off", "CGO_ENABLED=0",
			"go", "build", "-C", tools, "-trimpath", "-o", part, caddyPackage+"/cmd/caddy"); err != nil {
			return err
		}
		return os.Rename(part, path)
	})
	return path, err
}
