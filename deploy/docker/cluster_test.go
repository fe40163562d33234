package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
)

// clusterRules are what the cluster's file must keep beside the rules for every file.
var clusterRules = append(slices.Clone(rules), replicated, distinct, voting, initiated, configuredAsTested)

var (
	brokers = []string{"kafka-1", "kafka-2", "kafka-3"}
	members = []string{"mongodb-1", "mongodb-2", "mongodb-3"}
)

func TestCluster_HoldsAgainstTheCode(t *testing.T) {
	project, err := load(t, composeFile(t, "docker-compose.yml"), nil, composeFile(t, "docker-compose.cluster.yml"))
	require.NoError(t, err)
	require.ElementsMatch(t, slices.Concat(
		[]string{"gateway", "dashboard", "order-api", "inventory", "shipping", "notifier", "seed"}, brokers, members,
	), project.ServiceNames(), "the one broker and the one database make room")
	require.ElementsMatch(t, slices.Concat(brokers, members), project.VolumeNames())
	require.Empty(t, complain(t, project, clusterRules))
}

// TestCluster_EveryRuleCanFail breaks the file in every way that a rule is for.
func TestCluster_EveryRuleCanFail(t *testing.T) {
	const apiDependsOn = "  order-api:\n    environment: {<<: [*environment, *database]}\n    depends_on: !override {<<: [*brokers, *members]}\n"
	eachIsRefused(t, "docker-compose.cluster.yml", clusterRules, func(broken string) (*types.Project, error) {
		return load(t, composeFile(t, "docker-compose.yml"), nil, broken)
	}, []breakage{
		{"the one broker is still waited for", apiDependsOn, strings.Replace(apiDependsOn, "!override ", "", 1), "depends on undefined service"},
		{"an image of its own", "mongo:8", "mongo:7", "mongodb-2: not MongoDB 8"},
		{"another Kafka than the tested one", "apache/kafka:4.3.0", "apache/kafka:4.2.0", "kafka-3: 4.2.0 is not the tested 4.3.0"},
		{"another set than the clients'", "/?replicaSet=rs0", "/?replicaSet=rs1", "mongodb-1: no replica set rs1"},
		{"variable that nobody reads", "KAFKA_TOPIC_MIN_ISR: 2", "KAFKA_TOPIC_MINISR: 2", "inventory: nothing reads KAFKA_TOPIC_MINISR"},
		{"value that is refused", "KAFKA_TOPIC_MIN_ISR: 2", "KAFKA_TOPIC_MIN_ISR: 4", "inventory: configuration: KAFKA_TOPIC_MIN_ISR"},
		{"no memory limit", "  mem_limit: 1g\n", "", "mongodb-3: no memory limit"},

		{"topics of one copy", "KAFKA_TOPIC_REPLICATION: 3", "KAFKA_TOPIC_REPLICATION: 2", "shipping: KAFKA_TOPIC_REPLICATION is 2"},
		{"a write that one broker has", "KAFKA_TOPIC_MIN_ISR: 2", "KAFKA_TOPIC_MIN_ISR: 1", "notifier: KAFKA_TOPIC_MIN_ISR is 1"},
		{"a broker that clients do not know", "kafka-1:9092,kafka-2:9092,kafka-3:9092", "kafka-1:9092,kafka-2:9092", "notifier: does not know kafka-3:9092"},
		{"a broker at another port", "kafka-1:9092,kafka-2:9092", "kafka-1:9092,kafka-2:9093", "seed: does not know kafka-2:9092"},
		{"a member that clients do not know", "mongodb-1:27017,mongodb-2:27017,mongodb-3:27017/", "mongodb-1:27017,mongodb-3:27017/", "seed: does not know mongodb-2:27017"},
		{
			"a part that is not waited for", "{<<: *brokers}\n\n  seed:", "{kafka-1: {condition: service_healthy}, kafka-2: {condition: service_healthy}}\n\n  seed:",
			"notifier: does not wait for kafka-3",
		},

		{"one disk for two", "kafka-2:/var/lib/kafka", "kafka-1:/var/lib/kafka", "kafka-2: keeps its data in kafka-1"},
		{"a disk that is not its own", `["mongodb-3:/data/db"]`, `["mongodb-1:/data/db"]`, "mongodb-3: keeps its data in mongodb-1"},
		{"no disk", `    volumes: ["mongodb-2:/data/db"]` + "\n", "", "mongodb-2: keeps its data nowhere"},
		{"a disk that nobody writes to", "KAFKA_LOG_DIRS: /var/lib/kafka/data", "KAFKA_LOG_DIRS: /tmp/data", "kafka-1: keeps its data nowhere"},

		{"two nodes with one number", "KAFKA_NODE_ID: 3", "KAFKA_NODE_ID: 2", "kafka-3: its number is 2"},
		{"a node that sends clients to another one", "PLAINTEXT://kafka-2:9092", "PLAINTEXT://kafka-1:9092", "kafka-2: sends its clients to PLAINTEXT://kafka-1:9092"},
		{"a voter too few", ",3@kafka-3:9093", "", "kafka-1: the voters are 1@kafka-1:9093,2@kafka-2:9093"},
		{"a voter at the wrong port", "2@kafka-2:9093", "2@kafka-2:9092", "kafka-3: the voters are"},
		{"a node of another cluster", "kafka-environment, KAFKA_NODE_ID: 2", "kafka-environment, CLUSTER_ID: x, KAFKA_NODE_ID: 2", "kafka-2: another CLUSTER_ID"},

		{"a member that is not in the set", "{_id: 2, host: 'mongodb-3:27017'}", "{_id: 2, host: 'mongodb:27017'}", "mongodb-1: makes a set without mongodb-3:27017"},
		{"a set of another name", "{_id: 'rs0'", "{_id: 'rs1'", "mongodb-1: makes another set than rs0"},
		{"nobody makes the set", "rs.initiate(", "rs.conf(", "mongodb: 0 members make the set"},
		{"two make the set at once", "eval, \"const h", "eval, \"rs.initiate(); const h", "mongodb: 3 members make the set"},

		{"unclean elections", `KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE: "false"`, `KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE: "true"`, "kafka-1: unclean.leader.election.enable is true, and false in deploy/stack"},
		{"one copy is enough", "KAFKA_MIN_INSYNC_REPLICAS: 2", "KAFKA_MIN_INSYNC_REPLICAS: 1", "kafka-2: min.insync.replicas is 1, and 2 in deploy/stack"},
		{"offsets on one broker", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: 3", "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: 1", "kafka-3: offsets.topic.replication.factor is 1, and 3"},
		{"a session of another length", "KAFKA_BROKER_SESSION_TIMEOUT_MS: 6000", "KAFKA_BROKER_SESSION_TIMEOUT_MS: 9000", "kafka-1: broker.session.timeout.ms is 9000, and 6000"},
	})
}

// replicated: whoever uses a part knows all of its nodes, waits for them, and asks for topics that outlive one of them.
func replicated(_ *testing.T, p *types.Project) (complaints []string) {
	knows := func(name, variableName string, nodes []string, port string) {
		value := variable(p, name, variableName)
		value = strings.TrimPrefix(value, "mongodb://")
		value, _, _ = strings.Cut(value, "/")
		for _, n := range nodes {
			if !slices.Contains(strings.Split(value, ","), n+port) {
				complaints = append(complaints, name+": does not know "+n+port)
			}
			if _, waits := p.Services[name].DependsOn[n]; !waits && name != "seed" {
				complaints = append(complaints, name+": does not wait for "+n)
			}
		}
	}
	for _, name := range []string{"order-api", "inventory", "shipping", "notifier", "seed"} {
		knows(name, "KAFKA_BROKERS", brokers, ":9092")
		if name != "notifier" {
			knows(name, "MONGODB_URI", members, ":27017")
		}
		if name == "seed" {
			continue // it makes no topics
		}
		for k, want := range map[string]string{"KAFKA_TOPIC_REPLICATION": "3", "KAFKA_TOPIC_MIN_ISR": "2"} {
			if have := variable(p, name, k); have != want {
				complaints = append(complaints, fmt.Sprintf("%s: %s is %s", name, k, have))
			}
		}
	}
	return complaints
}

// distinct: each node has a disk of its own where it keeps its data.
func distinct(_ *testing.T, p *types.Project) (complaints []string) {
	for _, name := range slices.Concat(brokers, members) {
		dir := "/data/db"
		if slices.Contains(brokers, name) {
			dir = variable(p, name, "KAFKA_LOG_DIRS")
		}
		disk := "nowhere"
		for _, v := range p.Services[name].Volumes {
			if v.Type == types.VolumeTypeVolume && v.Target == dir {
				disk = "in " + v.Source
			}
		}
		if disk != "in "+name {
			complaints = append(complaints, name+": keeps its data "+disk)
		}
	}
	return complaints
}

// voting: every broker is a controller too, and all agree who the controllers are.
func voting(_ *testing.T, p *types.Project) (complaints []string) {
	var voters []string
	for i, name := range brokers {
		voters = append(voters, fmt.Sprintf("%d@%s:9093", i+1, name))
	}
	for i, name := range brokers {
		if id := variable(p, name, "KAFKA_NODE_ID"); id != fmt.Sprint(i+1) {
			complaints = append(complaints, name+": its number is "+id)
		}
		if to := variable(p, name, "KAFKA_ADVERTISED_LISTENERS"); to != "PLAINTEXT://"+name+":9092" {
			complaints = append(complaints, name+": sends its clients to "+to)
		}
		if v := variable(p, name, "KAFKA_CONTROLLER_QUORUM_VOTERS"); v != strings.Join(voters, ",") {
			complaints = append(complaints, name+": the voters are "+v)
		}
		if variable(p, name, "CLUSTER_ID") != variable(p, brokers[0], "CLUSTER_ID") {
			complaints = append(complaints, name+": another CLUSTER_ID")
		}
	}
	return complaints
}

// initiated: one member makes the replica set, of all three. Two that do it at once may each make one.
func initiated(_ *testing.T, p *types.Project) (complaints []string) {
	makers := 0
	for _, name := range members {
		check := strings.Join(p.Services[name].HealthCheck.Test, " ")
		if !strings.Contains(check, "rs.initiate(") {
			continue
		}
		makers++
		if !strings.Contains(check, "rs.initiate({_id: 'rs0'") {
			complaints = append(complaints, name+": makes another set than rs0")
		}
		for i, m := range members {
			if !strings.Contains(check, fmt.Sprintf("{_id: %d, host: '%s:27017'}", i, m)) {
				complaints = append(complaints, name+": makes a set without "+m+":27017")
			}
		}
	}
	if makers != 1 {
		complaints = append(complaints, fmt.Sprintf("mongodb: %d members make the set", makers))
	}
	return complaints
}

// configuredAsTested: the brokers have the settings of the cluster that deploy/stack starts, which the tests ran with.
func configuredAsTested(t *testing.T, p *types.Project) (complaints []string) {
	t.Helper()
	for property, want := range testedProperties(t) {
		for _, name := range brokers {
			if have := variable(p, name, "KAFKA_"+strings.ToUpper(strings.ReplaceAll(property, ".", "_"))); have != want {
				complaints = append(complaints, fmt.Sprintf("%s: %s is %s, and %s in deploy/stack", name, property, have, want))
			}
		}
	}
	return complaints
}

// testedProperties are those of deploy/stack's three nodes that are the same wherever they run, out of its source.
func testedProperties(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile(filepath.Join(root, "deploy", "stack", "node.go"))
	require.NoError(t, err)
	properties := map[string]string{}
	for _, m := range regexp.MustCompile(`\t"([a-z.]+)=([a-z0-9,]+)",\n`).FindAllStringSubmatch(string(source), -1) {
		properties[m[1]] = m[2]
	}
	computed := map[string]string{"size": fmt.Sprint(len(brokers)), "minISR": "2"}
	for _, m := range regexp.MustCompile(`\tfmt\.Sprintf\("([a-z.]+)=%d", (\w+)\),\n`).FindAllStringSubmatch(string(source), -1) {
		require.Contains(t, computed, m[2])
		properties[m[1]] = computed[m[2]]
	}
	require.Subset(t, properties, map[string]string{
		"process.roles": "broker,controller", "default.replication.factor": "3", "min.insync.replicas": "2",
		"unclean.leader.election.enable": "false", "broker.session.timeout.ms": "6000",
	})
	return properties
}
