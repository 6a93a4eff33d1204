//! Rules of the kind that grows with an organisation: one for each namespace and concern, on top of common macros.

const MACROS: &str = "
- list: write_verbs
  items: [create, update, patch, delete]
- macro: finished
  condition: (jevt.value[/stage] = ResponseComplete)
- macro: succeeded
  condition: (finished and ka.response.code startswith 2)
- macro: writes
  condition: (succeeded and ka.verb in (write_verbs))
- macro: pod
  condition: (ka.target.resource = pods and not ka.target.subresource exists)
";

/// What rules ask for; `N` is the rule's number.
const CONDITIONS: [&str; 4] = [
    "writes and pod and ka.target.namespace = team-N
    and not ka.req.pod.containers.image intersects (registry.example.com/team-N/api,
    registry.example.com/team-N/worker)",
    "finished and ka.target.resource = secrets and ka.verb in (get, list, watch)
    and ka.target.namespace = team-N and not ka.user.name in (vault-N, \"backup of N\")",
    "writes and ka.target.resource = configmaps and ka.target.namespace = team-N
    and ka.target.name startswith app-N",
    "writes and ka.user.name = \"person-N@example.com\"",
];

/// The text of a rules file with so many rules.
pub(crate) fn rules(count: usize) -> String {
    let mut text = MACROS.to_owned();
    for number in 0..count {
        let condition = CONDITIONS[number % CONDITIONS.len()].replace('N', &number.to_string());
        text.push_str(&format!(
            "
- rule: Concern {number} of an organisation
  desc: >
    What is watched for team {number}, and whom to call when it happens.
  condition: >
    {condition}
  output: Concern {number} (user=%ka.user.name verb=%ka.verb name=%ka.target.name ns=%ka.target.namespace)
  priority: WARNING
  source: k8s_audit
  tags: [k8s, team_{number}]
"
        ));
    }
    text
}
