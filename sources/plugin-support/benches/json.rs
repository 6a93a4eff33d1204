//! Time for one audit event: to parse it, to read fields of what was parsed, and to find a value without parsing.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use plugin_support::json::{Document, Unparsed};

/// As kube-apiserver writes them, with its members in order.
const EVENT: &[u8] = br#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"9c1fb2f5-7e11-4f6a-a1b2-0242ac120002","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/team-web/leases/app-7?timeout=32s","verb":"update","user":{"username":"system:serviceaccount:team-web:controller-7","uid":"65ded5ea-9b6e-4d72-ab63-bceebafddb15","groups":["system:serviceaccounts","system:serviceaccounts:team-web","system:authenticated"],"extra":{"authentication.kubernetes.io/pod-name":["controller-7-pr9tdd6nh-nzvgt"]}},"sourceIPs":["10.244.20.135"],"userAgent":"controller/v1.16.1 (linux/amd64)","objectRef":{"resource":"leases","namespace":"team-web","name":"app-7","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-15T08:00:00.001984Z","stageTimestamp":"2026-01-15T08:00:00.004197Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: allowed by ClusterRoleBinding \"c\" of ClusterRole \"c\""}}"#;

fn json(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    group.throughput(Throughput::Bytes(EVENT.len() as u64));
    let mut document = Document::default();
    group.bench_function("parse", |bencher| bencher.iter(|| document.parse(black_box(EVENT))));
    document.parse(EVENT).expect("the event is JSON");
    let five_fields = || {
        let root = document.root();
        let inner = |object: &[u8], key| root.get(object)?.get(key).map(|value| value.to_text());
        [
            root.get(b"stage").map(|value| value.to_text()),
            root.get(b"verb").map(|value| value.to_text()),
            inner(b"objectRef", b"resource"),
            inner(b"user", b"username"),
            inner(b"responseStatus", b"code"),
        ]
    };
    assert!(five_fields().iter().all(Option::is_some));
    group
        .bench_function("extract five fields", |bencher| bencher.iter(|| black_box(five_fields())));
    let find = |key: &[u8]| Unparsed::new(black_box(EVENT)).get(key)?.to_text();
    assert!(find(b"stage").is_some() && find(b"annotations").is_some());
    group.bench_function("find an early value", |bencher| bencher.iter(|| find(b"stage")));
    group.bench_function("find the last value", |bencher| bencher.iter(|| find(b"annotations")));
    group.finish();
}

criterion_group!(benches, json);
criterion_main!(benches);
