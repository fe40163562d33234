// Package docker holds what makes images of Orderwire and runs them with compose, and tests it without an engine: the
// compose file is loaded and held against the code, the gateway's Caddyfile runs in the real Caddy.
package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// root is the clone.
const root = "../.."

// scaled are the services that may have several instances.
var scaled = []string{"order-api", "inventory", "shipping", "notifier", "dashboard"}

func TestCompose_HoldsAgainstTheCode(t *testing.T) {
	project, err := load(t, composeFile(t, "docker-compose.yml"), nil)
	require.NoError(t, err)
	require.ElementsMatch(t, []string{
		"gateway", "dashboard", "order-api", "inventory", "shipping", "notifier", "seed", "kafka", "mongodb",
	}, project.ServiceNames())
	require.Empty(t, complain(t, project, rules))
}

// TestCompose_EveryRuleCanFail breaks the file in every way that a rule is for.
func TestCompose_EveryRuleCanFail(t *testing.T) {
	const inventory = "    build: {context: ., dockerfile: deploy/docker/Dockerfile, args: {MODULE: services/inventory}}\n"
	eachIsRefused(t, "docker-compose.yml", rules, func(broken string) (*types.Project, error) { return load(t, broken, nil) }, []breakage{
		{"misspelt key", "restart: unless-stopped", "restrat: unless-stopped", "restrat"},
		{"dependency that is not there", "kafka: {condition: service_healthy}", "kafak: {condition: service_healthy}", "kafak"},
		{"volume that is not declared", "kafka:/var/lib/kafka/data", "kafak:/var/lib/kafka/data", "kafak"},
		{
			"container_name on a scaled service", inventory, inventory + "    container_name: inventory\n",
			"inventory: a fixed container_name",
		},
		{"hostname on a scaled service", inventory, inventory + "    hostname: inventory\n", "inventory: a fixed hostname"},
		{"host port on a scaled service", inventory, inventory + "    ports: ['8082:8082']\n", "inventory: a host port"},
		{"host port beyond this machine", `"127.0.0.1:${GATEWAY_PORT:-8080}:8080"`, `"8080:8080"`, "gateway: reachable from other machines"},
		{"context that is not there", "{context: ., dockerfile: deploy/docker/dash", "{context: ./nowhere, dockerfile: deploy/docker/dash", "dashboard: no build context"},
		{"Dockerfile that is not there", "docker/dashboard.Dockerfile", "docker/Dockerfile.dashboard", "dashboard: no Dockerfile"},
		{"module that is not there", "MODULE: services/inventory", "MODULE: services/inventroy", "inventory: COPY services/inventroy: not in the build context"},
		{"package that is not there", "PACKAGE: ./orderctl", "PACKAGE: ./orderclt", "seed: orderclt is no main package"},
		{"unknown build argument", "MODULE: services/inventory", "MODULE: services/inventory, MODUL: x", "inventory: the Dockerfile has no ARG MODUL"},
		{"mounted file that is not there", "./deploy/docker/Caddyfile:", "./deploy/docker/Caddyfiles:", "gateway: nothing to mount"},
		{"variable that nobody reads", "HTTP_ADDR: \":8082\"", "HTTP_ADRR: \":8082\"", "inventory: nothing reads HTTP_ADRR"},
		{"variable of another service", "HTTP_ADDR: \":8082\"", "HTTP_ADDR: \":8082\"\n      DEV_LOGIN: \"true\"", "inventory: nothing reads DEV_LOGIN"},
		{"database for the one without", "      <<: *environment\n      HTTP_ADDR: \":8084\"", "      <<: [*environment, *database]\n      HTTP_ADDR: \":8084\"", "notifier: nothing reads MONGODB_URI"},
		{"variable that orderctl does not read", "ORDERWIRE_URL: http", "ORDERWIRE_GATEWAY: http", "seed: nothing reads ORDERWIRE_GATEWAY"},
		{"variable that Caddy does not read", "{XDG_CONFIG_HOME: /tmp, XDG_DATA_HOME: /tmp}", "{GATEWAY_PROT: 1}", "gateway: nothing reads GATEWAY_PROT"},
		{"required variable that is missing", "\n  KAFKA_BROKERS: kafka:9092\n", "\n  KAFKA_BROKERS: \"\"\n", "inventory: KAFKA_BROKERS is required"},
		{"value that is refused", "KAFKA_BROKERS: kafka:9092", "KAFKA_BROKERS: kafka", "inventory: configuration: KAFKA_BROKERS"},
		{"secret that is too short", "-a-development-secret-of-32-bytes-or-more", "-secret", "inventory: configuration: JWT_SECRET"},
		{"no address for the health check", "      ADMIN_ADDR: \":9082\"\n", "", "inventory: its health check needs ADMIN_ADDR"},
		{"port that the gateway does not know", "HTTP_ADDR: \":8082\"", "HTTP_ADDR: \":8092\"", "inventory: the gateway sends to port 8082"},
		{"no health check", "    test: [CMD, /app, healthcheck]", "    disable: true", "inventory: no health check, but gateway waits for it"},
		{"no restart", "  restart: unless-stopped\n  mem_limit: 256m", "  mem_limit: 256m", "inventory: no restart policy"},
		{"no memory limit", "  mem_limit: 256m\n", "", "inventory: no memory limit"},
		{"a privilege kept", "  cap_drop: [ALL]\n", "", "inventory: keeps capabilities"},
		{"no replica set", "--replSet, rs0, ", "", "mongodb: no replica set rs0"},
		{"another Kafka than the tested one", "apache/kafka:4.3.0", "apache/kafka:4.2.0", "kafka: 4.2.0 is not the tested 4.3.0"},
		{"another Caddy than the tested one", "caddy:2.11.9-alpine", "caddy:2.10.0-alpine", "gateway: caddy:2.10.0-alpine is not the tested"},
	})
}

// breakage is one way to break a file, and what somebody must say of it.
type breakage struct{ what, old, new, complaint string }

// eachIsRefused breaks a file in each way; it is refused when it is loaded, or by a rule.
func eachIsRefused(t *testing.T, file string, by []func(*testing.T, *types.Project) []string, load func(broken string) (*types.Project, error), ways []breakage) {
	t.Helper()
	content := composeFile(t, file)
	for _, b := range ways {
		t.Run(b.what, func(t *testing.T) {
			require.Contains(t, content, b.old, "there is nothing to break")
			project, err := load(strings.ReplaceAll(content, b.old, b.new))
			if err != nil {
				require.ErrorContains(t, err, b.complaint)
				return
			}
			require.Contains(t, complain(t, project, by), b.complaint)
		})
	}
}

func TestCompose_Scales(t *testing.T) {
	want := map[string]int{"inventory": 3, "order-api": 2, "shipping": 2, "notifier": 2}
	scale := "services:\n"
	for name, n := range want {
		scale += fmt.Sprintf("  %s: {scale: %d}\n", name, n)
	}
	project, err := load(t, composeFile(t, "docker-compose.yml"), nil, scale)
	require.NoError(t, err)
	for name, n := range want {
		s := project.Services[name]
		require.Equal(t, n, s.GetScale(), name)
	}
	fixed := "services: {inventory: {container_name: one}}\n"
	_, err = load(t, composeFile(t, "docker-compose.yml"), nil, scale, fixed)
	require.ErrorContains(t, err, "container_name", "a fixed name and a scale refuse each other")
}

func TestCompose_DevelopmentLoginIsOnAndCanBeTurnedOff(t *testing.T) {
	project, err := load(t, composeFile(t, "docker-compose.yml"), nil)
	require.NoError(t, err)
	require.Equal(t, "true", variable(project, "order-api", "DEV_LOGIN"))

	secret := strings.Repeat("s", 32)
	project, err = load(t, composeFile(t, "docker-compose.yml"), types.Mapping{"DEV_LOGIN": "false", "JWT_SECRET": secret, "ORDERWIRE_TOKEN": "t"})
	require.NoError(t, err)
	require.Equal(t, "false", variable(project, "order-api", "DEV_LOGIN"))
	require.Equal(t, "t", variable(project, "seed", "ORDERWIRE_TOKEN"))
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier"} {
		require.Equal(t, secret, variable(project, name, "JWT_SECRET"), name)
	}
}

// complain runs rules and gives their complaints, one a line.
func complain(t *testing.T, p *types.Project, rules []func(*testing.T, *types.Project) []string) string {
	t.Helper()
	var complaints []string
	for _, rule := range rules {
		complaints = append(complaints, rule(t, p)...)
	}
	return strings.Join(complaints, "\n")
}

// composeFile gives a file at the clone's root.
func composeFile(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(root, name))
	require.NoError(t, err)
	return string(raw)
}

// load reads a compose file as `docker compose` does, and files that override it.
func load(t *testing.T, content string, environ types.Mapping, overrides ...string) (*types.Project, error) {
	t.Helper()
	dir, err := filepath.Abs(root)
	require.NoError(t, err)
	details := types.ConfigDetails{
		WorkingDir: dir, Environment: environ,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yml"), Content: []byte(content)}},
	}
	for _, o := range overrides {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: filepath.Join(dir, "override.yml"), Content: []byte(o)})
	}
	return loader.LoadWithContext(t.Context(), details, func(o *loader.Options) { o.SetProjectName("orderwire", true) })
}

// variable gives the value that a container gets, "" for none.
func variable(p *types.Project, service, name string) string {
	if value := p.Services[service].Environment[name]; value != nil {
		return *value
	}
	return ""
}
