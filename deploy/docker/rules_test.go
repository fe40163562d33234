package docker

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/modfile"
)

// rules are what the compose file must keep; each gives its complaints, "service: what is wrong".
var rules = []func(*testing.T, *types.Project) []string{
	scalable, buildable, configured, careful, routed, tested,
}

// scalable: nothing that only one instance can have, and only the gateway is seen, from this machine.
func scalable(_ *testing.T, p *types.Project) (complaints []string) {
	for name, s := range p.Services {
		if s.ContainerName != "" {
			complaints = append(complaints, name+": a fixed container_name")
		}
		if s.Hostname != "" {
			complaints = append(complaints, name+": a fixed hostname")
		}
		for _, port := range s.Ports {
			if name != "gateway" {
				complaints = append(complaints, name+": a host port")
			} else if port.HostIP != "127.0.0.1" {
				complaints = append(complaints, name+": reachable from other machines")
			}
		}
		for network, n := range s.Networks {
			if n != nil && n.Ipv4Address != "" {
				complaints = append(complaints, name+": a fixed address on "+network)
			}
		}
	}
	return complaints
}

// buildable: the contexts, the Dockerfiles and what they copy, and what is mounted are there, and what is copied is
// all that the program needs.
func buildable(t *testing.T, p *types.Project) (complaints []string) {
	t.Helper()
	for name, s := range p.Services {
		for _, v := range s.Volumes {
			if v.Type == types.VolumeTypeBind && !isThere(v.Source) {
				complaints = append(complaints, name+": nothing to mount at "+v.Source)
			}
		}
		if s.Build == nil {
			continue
		}
		if !isThere(s.Build.Context) {
			complaints = append(complaints, name+": no build context "+s.Build.Context)
			continue
		}
		path := filepath.Join(s.Build.Context, s.Build.Dockerfile)
		if !isThere(path) {
			complaints = append(complaints, name+": no Dockerfile "+s.Build.Dockerfile)
			continue
		}
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, c := range checkDockerfile(t, string(raw), s.Build.Context, buildArgs(s)) {
			complaints = append(complaints, name+": "+c)
		}
	}
	return complaints
}

func buildArgs(s types.ServiceConfig) map[string]string {
	args := map[string]string{}
	for k, v := range s.Build.Args {
		if v != nil {
			args[k] = *v
		}
	}
	return args
}

// configured: every variable that is set is read, every required one is set, and no value is refused.
func configured(t *testing.T, p *types.Project) (complaints []string) {
	t.Helper()
	for name, s := range p.Services {
		var read map[string]bool // name → required
		var environ []string
		for k, v := range s.Environment {
			if v != nil {
				environ = append(environ, k+"="+*v)
			}
		}
		switch {
		case s.Build != nil && s.Build.Args["MODULE"] != nil:
			args := buildArgs(s)
			c, err := configurationOf(filepath.Join(s.Build.Context, args["MODULE"], args["PACKAGE"]))
			if err != nil {
				continue // buildable has said it
			}
			read = c.variables
			for _, err := range c.refused(environ) {
				complaints = append(complaints, fmt.Sprintf("%s: %v", name, err))
			}
		case name == "gateway":
			read = caddyVariables(t, "Caddyfile")
		case name == "dashboard":
			read = caddyVariables(t, "dashboard.Caddyfile")
		default: // somebody else's program
			continue
		}
		for k := range s.Environment {
			if _, ok := read[k]; !ok {
				complaints = append(complaints, name+": nothing reads "+k)
			}
		}
		for k, required := range read {
			if required && variable(p, name, k) == "" {
				complaints = append(complaints, name+": "+k+" is required and not set")
			}
		}
		if s.HealthCheck != nil && slices.Contains(s.HealthCheck.Test, "/app") && variable(p, name, "ADMIN_ADDR") == "" {
			complaints = append(complaints, name+": its health check needs ADMIN_ADDR")
		}
	}
	return complaints
}

// caddyVariables are those that a Caddyfile names, and Caddy's own directories.
func caddyVariables(t *testing.T, file string) map[string]bool {
	t.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(t, err)
	read := map[string]bool{"XDG_CONFIG_HOME": false, "XDG_DATA_HOME": false}
	for _, m := range regexp.MustCompile(`\{\$([A-Z_]+)(:?)`).FindAllStringSubmatch(string(raw), -1) {
		read[m[1]] = m[2] == ""
	}
	return read
}

// careful: a container is watched, comes back, is limited, and may do little.
func careful(_ *testing.T, p *types.Project) (complaints []string) {
	healthy := func(name string) bool {
		h := p.Services[name].HealthCheck
		return h != nil && !h.Disable && len(h.Test) > 1
	}
	for name, s := range p.Services {
		for on, d := range s.DependsOn {
			if d.Condition == types.ServiceConditionHealthy && !healthy(on) {
				complaints = append(complaints, on+": no health check, but "+name+" waits for it")
			}
		}
		if name != "seed" && !healthy(name) {
			complaints = append(complaints, name+": no health check")
		}
		if s.Restart == "" || s.Restart == types.RestartPolicyNo {
			complaints = append(complaints, name+": no restart policy")
		}
		if s.MemLimit == 0 {
			complaints = append(complaints, name+": no memory limit")
		}
		if isPart(name, "kafka") || isPart(name, "mongodb") {
			continue
		}
		if !slices.Contains(s.CapDrop, "ALL") || len(s.CapAdd) > 0 && !slices.Equal(s.CapAdd, []string{"NET_BIND_SERVICE"}) {
			complaints = append(complaints, name+": keeps capabilities")
		}
		if !s.ReadOnly {
			complaints = append(complaints, name+": can write to its image")
		}
	}
	return complaints
}

// routed: the gateway knows every service by its name and port.
func routed(t *testing.T, p *types.Project) (complaints []string) {
	t.Helper()
	raw, err := os.ReadFile("Caddyfile")
	require.NoError(t, err)
	ports := map[string]string{}
	// The dot makes the name absolute, so that no search domain of the host is asked.
	for _, m := range regexp.MustCompile(`import service \{\$\w+:([a-z-]+)\.\} \{\$\w+:(\d+)\}`).FindAllStringSubmatch(string(raw), -1) {
		ports[m[1]] = m[2]
	}
	for _, name := range scaled {
		listens := variable(p, name, "HTTP_ADDR")
		if name == "dashboard" {
			listens = ":8080"
			page, err := os.ReadFile("dashboard.Caddyfile")
			require.NoError(t, err)
			require.Contains(t, string(page), "\n"+listens+" {")
		}
		_, port, err := net.SplitHostPort(listens)
		if err != nil || port != ports[name] {
			complaints = append(complaints, fmt.Sprintf("%s: the gateway sends to port %s, it listens on %q", name, ports[name], listens))
		}
	}
	return complaints
}

// tested: the versions are those that the tests ran with.
func tested(t *testing.T, p *types.Project) (complaints []string) {
	t.Helper()
	kafka := constant(t, filepath.Join(root, "deploy", "stack", "broker.go"), "kafkaVersion")
	_, set, _ := strings.Cut(variable(p, "inventory", "MONGODB_URI"), "replicaSet=")
	for name, s := range p.Services {
		switch {
		case isPart(name, "kafka"):
			if have := tag(s.Image); have != kafka {
				complaints = append(complaints, fmt.Sprintf("%s: %s is not the tested %s", name, have, kafka))
			}
		case isPart(name, "mongodb"):
			if tag(s.Image) != "8" {
				complaints = append(complaints, name+": not MongoDB 8")
			}
			if at := slices.Index(s.Command, "--replSet"); at < 0 || s.Command[at+1] != set {
				complaints = append(complaints, name+": no replica set "+set)
			}
		}
	}
	caddy := "caddy:" + strings.TrimPrefix(caddyVersion(t), "v") + "-alpine"
	if image := p.Services["gateway"].Image; image != caddy {
		complaints = append(complaints, fmt.Sprintf("gateway: %s is not the tested %s", image, caddy))
	}
	page, err := os.ReadFile("dashboard.Dockerfile")
	require.NoError(t, err)
	if !strings.Contains(string(page), "\nFROM "+caddy+"\n") {
		complaints = append(complaints, "dashboard: its image is not from the tested "+caddy)
	}
	return complaints
}

// isPart tells whether a service is kafka or mongodb, or one node of several: kafka-1.
func isPart(service, of string) bool {
	return service == of || strings.HasPrefix(service, of+"-")
}

func tag(image string) string {
	_, tag, _ := strings.Cut(image, ":")
	return tag
}

// caddyVersion is the one that deploy/tools pins.
func caddyVersion(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, "deploy", "tools", "go.mod"))
	require.NoError(t, err)
	mod, err := modfile.ParseLax("go.mod", raw, nil)
	require.NoError(t, err)
	for _, r := range mod.Require {
		if r.Mod.Path == "github.com/caddyserver/caddy/v2" {
			return r.Mod.Version
		}
	}
	t.Fatal("deploy/tools does not pin Caddy")
	return ""
}

func isThere(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
