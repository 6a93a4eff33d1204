//! An audit log with the sizes and the proportions of a usual one: a thousand bytes an event, mostly reads by components.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const NAMESPACES: [&str; 6] =
    ["kube-system", "monitoring", "team-web", "team-data", "team-mail", "argocd"];
const READS: [(&str, &str); 4] =
    [("get", "leases"), ("watch", "configmaps"), ("list", "pods"), ("get", "endpoints")];

/// Writes `count` events, the same for the same count.
pub(crate) fn write(path: &Path, count: usize) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    let mut numbers = Numbers(7);
    for _ in 0..count {
        let namespace = NAMESPACES[numbers.below(NAMESPACES.len())];
        let name = format!("app-{}", numbers.below(400));
        match numbers.below(100) {
            0..80 => {
                let (verb, resource) = READS[numbers.below(READS.len())];
                event(&mut out, &mut numbers, verb, resource, namespace, &name, "")?;
            }
            80..95 => {
                let status = words(&mut numbers, 10);
                let body = format!(
                    r#","requestObject":{{"kind":"Lease","apiVersion":"coordination.k8s.io/v1","metadata":{{"name":"{name}","namespace":"{namespace}"}},"spec":{{"holderIdentity":"{status}","leaseDurationSeconds":15}}}}"#
                );
                event(&mut out, &mut numbers, "update", "leases", namespace, &name, &body)?;
            }
            95..99 => {
                let length = 60 + numbers.below(200);
                let data = words(&mut numbers, length);
                let body = format!(
                    r#","requestObject":{{"kind":"ConfigMap","apiVersion":"v1","metadata":{{"name":"{name}","namespace":"{namespace}"}},"data":{{"config.yaml":"a: 1\nb: \"{data}\""}}}}"#
                );
                event(&mut out, &mut numbers, "create", "configmaps", namespace, &name, &body)?;
            }
            _ => {
                let privileged = numbers.below(10) == 0;
                let body = format!(
                    r#","requestObject":{{"kind":"Pod","apiVersion":"v1","metadata":{{"name":"{name}"}},"spec":{{"volumes":[{{"name":"tmp","emptyDir":{{}}}}],"containers":[{{"name":"{name}","image":"registry.example/{name}:1.4","securityContext":{{"privileged":{privileged}}},"ports":[{{"containerPort":8080}}]}}]}}}}"#
                );
                event(&mut out, &mut numbers, "create", "pods", namespace, &name, &body)?;
            }
        }
    }
    out.flush()
}

/// Members stand in the order in which kube-apiserver writes them.
fn event(
    out: &mut impl Write,
    numbers: &mut Numbers,
    verb: &str,
    resource: &str,
    namespace: &str,
    name: &str,
    body: &str,
) -> io::Result<()> {
    let id =
        format!("{:08x}-7e11-4f6a-a1b2-{:012x}", numbers.below(1 << 32), numbers.below(1 << 48));
    let account = format!("controller-{}", numbers.below(30));
    let code = if numbers.below(50) == 0 { 404 } else { 200 };
    writeln!(
        out,
        r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"{id}","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/{namespace}/{resource}/{name}?timeout=32s","verb":"{verb}","user":{{"username":"system:serviceaccount:{namespace}:{account}","uid":"65ded5ea-9b6e-4d72-ab63-bceebafddb15","groups":["system:serviceaccounts","system:serviceaccounts:{namespace}","system:authenticated"],"extra":{{"authentication.kubernetes.io/pod-name":["{account}-pr9tdd6nh-nzvgt"],"authentication.kubernetes.io/pod-uid":["d3f42170-4ffc-4cbf-ae0e-8a55ff04e134"]}}}},"sourceIPs":["10.244.20.135"],"userAgent":"{account}/v1.16.1 (linux/amd64) go-client/v0.31.0","objectRef":{{"resource":"{resource}","namespace":"{namespace}","name":"{name}","apiVersion":"v1"}},"responseStatus":{{"metadata":{{}},"code":{code}}}{body},"requestReceivedTimestamp":"2026-01-15T08:00:00.001984Z","stageTimestamp":"2026-01-15T08:00:00.004197Z","annotations":{{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"{account}\" of ClusterRole \"{account}\" to ServiceAccount \"{account}/{namespace}\""}}}}"#
    )
}

fn words(numbers: &mut Numbers, count: usize) -> String {
    const WORDS: [&str; 8] =
        ["server", "timeout", "cluster", "retry", "zone", "limit", "level", "true"];
    let words: Vec<&str> = (0..count).map(|_| WORDS[numbers.below(WORDS.len())]).collect();
    words.join(" ")
}

/// Pseudo-random numbers: a linear congruential generator, of which the upper bits are good enough here.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((u128::from(self.0) * limit as u128) >> 64) as usize
    }
}
