package packaging

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/mcpctl/mcpctl/server"
)

// The parts of Kubernetes' objects that the example depends on.
type (
	deployment struct {
		Spec struct {
			Replicas int
			Selector struct {
				MatchLabels map[string]string `yaml:"matchLabels"`
			}
			Template struct {
				Metadata struct{ Labels map[string]string }
				Spec     podSpec
			}
		}
	}
	podSpec struct {
		ServiceAccountName            string `yaml:"serviceAccountName"`
		AutomountServiceAccountToken  *bool  `yaml:"automountServiceAccountToken"`
		TerminationGracePeriodSeconds int    `yaml:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot   bool                  `yaml:"runAsNonRoot"`
			RunAsUser      int                   `yaml:"runAsUser"`
			SeccompProfile struct{ Type string } `yaml:"seccompProfile"`
		} `yaml:"securityContext"`
		Containers []container
		Volumes    []volume
	}
	volume struct {
		Name      string
		ConfigMap struct{ Name string } `yaml:"configMap"`
	}
	container struct {
		Name, Image string
		Args        []string
		Ports       []struct {
			Name          string
			ContainerPort int `yaml:"containerPort"`
		}
		StartupProbe    probe `yaml:"startupProbe"`
		LivenessProbe   probe `yaml:"livenessProbe"`
		ReadinessProbe  probe `yaml:"readinessProbe"`
		Resources       struct{ Requests, Limits map[string]string }
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
			Capabilities             struct{ Drop []string }
		} `yaml:"securityContext"`
		VolumeMounts []struct {
			Name      string
			MountPath string `yaml:"mountPath"`
		} `yaml:"volumeMounts"`
	}
	probe struct {
		HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	}
	kustomization struct {
		Namespace          string
		Resources          []string
		ConfigMapGenerator []struct {
			Name  string
			Files []string
		} `yaml:"configMapGenerator"`
		Images []struct{ Name string }
	}
)

func TestKubernetesPod(t *testing.T) {
	cfg := readConfig(t, "examples/kubernetes/mcpctl.yaml")
	var d deployment
	readYAML(t, "examples/kubernetes/deployment.yaml", &d)
	pod := d.Spec.Template.Spec

	if s := pod.SecurityContext; !s.RunAsNonRoot || s.RunAsUser == 0 || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("the pod's security context is %+v", s)
	}
	for _, c := range pod.Containers {
		s := c.SecurityContext
		if s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Equal(s.Capabilities.Drop, []string{"ALL"}) {
			t.Errorf("the security context of %s is %+v", c.Name, s)
		}
		if c.Resources.Limits["memory"] == "" || c.Resources.Requests["cpu"] == "" {
			t.Errorf("%s has the resources %+v", c.Name, c.Resources)
		}
	}
	if a := pod.AutomountServiceAccountToken; a == nil || *a {
		t.Error("the pod gets a token of the cluster, which it doesn't need")
	}
	for label, value := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Metadata.Labels[label] != value {
			t.Errorf("the deployment doesn't select its own pods by %s", label)
		}
	}
	if cfg.Entra.Credential.FederatedTokenFile != "" && d.Spec.Template.Metadata.Labels["azure.workload.identity/use"] != "true" {
		t.Error("nobody writes the federated token that the configuration names")
	}
	if grace := time.Duration(pod.TerminationGracePeriodSeconds) * time.Second; grace <= cfg.DrainDelay+cfg.DrainTimeout {
		t.Errorf("the pod is killed after %v, while it may drain for %v", grace, cfg.DrainDelay+cfg.DrainTimeout)
	}
	checkContainer(t, pod, cfg)
}

// checkContainer compares mcpctl's container with its configuration.
func checkContainer(t *testing.T, pod podSpec, cfg server.Config) {
	t.Helper()
	c := pod.Containers[0]
	ports := map[string]string{}
	for _, p := range c.Ports {
		ports[p.Name] = strconv.Itoa(p.ContainerPort)
	}
	want := map[string]string{"http": port(t, cfg.Listen), "telemetry": port(t, cfg.Telemetry.Listen)}
	if !maps.Equal(ports, want) {
		t.Errorf("the container's ports are %v, those of the configuration %v", ports, want)
	}
	for kind, got := range map[string][2]probe{
		"startup":   {c.StartupProbe, {HTTPGet: struct{ Path, Port string }{"/healthz", "telemetry"}}},
		"liveness":  {c.LivenessProbe, {HTTPGet: struct{ Path, Port string }{"/healthz", "telemetry"}}},
		"readiness": {c.ReadinessProbe, {HTTPGet: struct{ Path, Port string }{"/readyz", "telemetry"}}},
	} {
		if got[0] != got[1] {
			t.Errorf("the %s probe is %+v, want %+v", kind, got[0], got[1])
		}
	}
	mounted := map[string]string{}
	for _, m := range c.VolumeMounts {
		mounted[m.MountPath] = m.Name
		if !slices.ContainsFunc(pod.Volumes, func(v volume) bool { return v.Name == m.Name }) {
			t.Errorf("there is no volume %s", m.Name)
		}
	}
	if i := slices.Index(c.Args, "--config"); i < 0 || mounted[filepath.ToSlash(filepath.Dir(c.Args[i+1]))] == "" {
		t.Errorf("the configuration of %v is not mounted: %v", c.Args, mounted)
	}
	if mounted["/var/log/mcpctl"] == "" {
		t.Error("the audit log can't be written: the root file system is read-only")
	}
}

func TestKubernetesObjectsBelongTogether(t *testing.T) {
	cfg := readConfig(t, "examples/kubernetes/mcpctl.yaml")
	var k kustomization
	readYAML(t, "examples/kubernetes/kustomization.yaml", &k)
	files, err := filepath.Glob(filepath.Join(repo, "examples", "kubernetes", "*.yaml"))
	must(t, err)
	for _, file := range files {
		name := filepath.Base(file)
		listed := slices.Contains(k.Resources, name) || name == "kustomization.yaml" || slices.Contains(k.ConfigMapGenerator[0].Files, name)
		if !listed {
			t.Errorf("the kustomization leaves out %s", name)
		}
	}

	var d deployment
	readYAML(t, "examples/kubernetes/deployment.yaml", &d)
	pod := d.Spec.Template.Spec
	if got := pod.Volumes[0].ConfigMap.Name; got != k.ConfigMapGenerator[0].Name {
		t.Errorf("the pod mounts %s, the kustomization makes %s", got, k.ConfigMapGenerator[0].Name)
	}
	for _, c := range pod.Containers {
		if !slices.ContainsFunc(k.Images, func(i struct{ Name string }) bool { return i.Name == c.Image }) {
			t.Errorf("the kustomization pins no version of %s", c.Image)
		}
	}

	var account struct{ Metadata struct{ Name string } }
	readYAML(t, "examples/kubernetes/serviceaccount.yaml", &account)
	if account.Metadata.Name != pod.ServiceAccountName {
		t.Errorf("the pod runs as %s, the account is %s", pod.ServiceAccountName, account.Metadata.Name)
	}

	var service struct {
		Metadata struct{ Name string }
		Spec     struct {
			Selector map[string]string
			Ports    []struct {
				Name       string
				TargetPort string `yaml:"targetPort"`
			}
		}
	}
	readYAML(t, "examples/kubernetes/service.yaml", &service)
	if !maps.Equal(service.Spec.Selector, d.Spec.Selector.MatchLabels) || len(service.Spec.Ports) != 1 || service.Spec.Ports[0].TargetPort != "http" {
		t.Errorf("the service leads to %+v", service.Spec)
	}

	var ingress struct {
		Spec struct {
			TLS   []struct{ Hosts []string }
			Rules []struct {
				Host string
				HTTP struct {
					Paths []struct {
						Backend struct {
							Service struct {
								Name string
								Port struct{ Name string }
							}
						}
					}
				}
			}
		}
	}
	readYAML(t, "examples/kubernetes/ingress.yaml", &ingress)
	rule := ingress.Spec.Rules[0]
	if host := publicHost(t, cfg); rule.Host != host || !slices.Contains(ingress.Spec.TLS[0].Hosts, host) {
		t.Errorf("the ingress is for %s and %v, people type %s", rule.Host, ingress.Spec.TLS[0].Hosts, host)
	}
	if to := rule.HTTP.Paths[0].Backend.Service; to.Name != service.Metadata.Name || to.Port.Name != service.Spec.Ports[0].Name {
		t.Errorf("the ingress leads to %+v", to)
	}
}
