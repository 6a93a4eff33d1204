//! The cases of `tests/fields.jsonl`, K001 to K170, one a line: a field, its argument, an event, and the values we give.
//!
//! `want` is null where a rule sees no value; `stock`, where it is there, is what Falco's own plugin gives instead.

use plugin_support::json::{Document, Value};

use super::{FIELDS, Field, Method, audit_event};

fn values(field: &Field, argument: Option<&str>, payload: &str) -> Vec<String> {
    let mut document = Document::default();
    if document.parse(payload.as_bytes()).is_err() {
        return Vec::new();
    }
    let Ok(Some(event)) = audit_event(&document) else { return Vec::new() };
    let texts = match field.method {
        Method::Text(..) | Method::Keyed(_) => {
            field.text(event, argument.unwrap_or_default().as_bytes()).into_iter().collect()
        }
        Method::List(..) | Method::Indexed(..) => field
            .list(event, argument.map(|index| index.parse().expect("the argument is an index"))),
    };
    texts.into_iter().map(|text| String::from_utf8_lossy(&text).into_owned()).collect()
}

#[track_caller]
fn check(field: &str, argument: Option<&str>, payload: &str, expected: &[&str]) {
    let row = FIELDS.iter().find(|row| row.name == field).expect(field);
    assert_eq!(values(row, argument, payload), expected, "{field} {argument:?} of {payload}");
}

#[test]
fn conformance_cases() {
    let string =
        |value: Value<'_>| String::from_utf8_lossy(&value.as_str().expect("a string")).into_owned();
    for line in include_str!("../../tests/fields.jsonl").lines() {
        let mut document = Document::default();
        document.parse(line.as_bytes()).expect(line);
        let case = document.root();
        // `event` is the event as it stands there, `text` is for what is no plain JSON.
        let event =
            case.get(b"event").map(|event| String::from_utf8_lossy(event.raw()).into_owned());
        let payload = event.or_else(|| case.get(b"text").map(string)).expect(line);
        let want: Vec<_> = case.get(b"want").expect(line).elements().map(string).collect();
        let want: Vec<_> = want.iter().map(String::as_str).collect();
        let raw = |key: &str| case.get(key.as_bytes()).map(Value::raw);
        assert_ne!(raw("stock"), raw("want"), "no difference from Falco: {line}");
        let argument = case.get(b"argument").map(string);
        check(&case.get(b"field").map(string).expect(line), argument.as_deref(), &payload, &want);
    }
}

#[test]
fn images_lose_tag_and_digest_but_not_the_registrys_port() {
    let repository = |image: &str, expected: &str| {
        let payload = format!(
            r#"{{"auditID":"x","requestObject":{{"spec":{{"containers":[{{"image":"{image}"}}]}}}}}}"#
        );
        check("ka.req.container.image.repository", None, &payload, &[expected]);
    };
    repository("nginx", "nginx");
    repository("nginx:1.27", "nginx");
    repository("reg.io:5000/x/y:1.2@sha256:abc", "reg.io:5000/x/y");
    repository("reg.io:5000/x/y", "reg.io:5000/x/y");
    repository("a/b@sha256:abc", "a/b");
    repository("[::1]:5000/x:1", "[::1]:5000/x");
    repository("", "");
}

#[test]
fn anything_malformed_hides_all_parameters() {
    let parameter = |uri: &str, expected: &[&str]| {
        let payload = format!(r#"{{"auditID":"x","requestURI":"{uri}"}}"#);
        check("ka.uri.param", Some("command"), &payload, expected);
    };
    parameter("/x?=1&&command=a=b?c", &["a=b?c"]);
    parameter("/a:b?command=id", &["id"]);
    parameter("//double/slash?command=id", &["id"]);
    parameter("*?command=id", &["id"]);
    parameter("https://host/x?command=id", &["id"]);
    parameter("mailto:%?command=id", &["id"]);
    parameter("/x", &[]);
    parameter("", &[]);
    parameter("/x?command=id&a=%", &[]);
    parameter("/x?command=id&a;b", &[]);
    parameter("/x?command=%4&command=id", &[]);
    parameter("/x%2?command=id", &[]);
    parameter("/x?command=id#%", &[]);
    parameter(r"/x\u007f?command=id", &[]);
    parameter("https:/%?command=id", &[]);
    parameter("a_b:c?command=id", &[]);
    parameter(":?command=id", &[]);
    parameter("1:?command=id", &[]);
}

#[test]
fn arguments_that_crash_falco_find_nothing() {
    let payload = r#"{"auditID":"x","requestObject":{"spec":{"containers":[{"name":"a"}],
        "volumes":[{"hostPath":{"path":"/etc"}}]}}}"#;
    for index in ["9223372036854775808", "18446744073709551615"] {
        check("ka.req.pod.containers.name", Some(index), payload, &[]);
        check("ka.req.pod.containers.eff_run_as_user", Some(index), payload, &[]);
    }
    check("ka.req.volume.hostpath", Some(""), payload, &["false"]);
}

#[test]
fn settings_that_are_null_are_not_set() {
    let payload = r#"{"auditID":"x","requestObject":{"spec":{"securityContext":{"runAsUser":null},
        "initContainers":[{"securityContext":{"runAsUser":null}},{"securityContext":{"runAsUser":5}}]}}}"#;
    check("ka.req.pod.initContainers.eff_run_as_user", None, payload, &["0", "5"]);
}

#[test]
fn an_object_in_place_of_the_containers_is_none() {
    let payload = r#"{"auditID":"x","requestObject":{"spec":{"containers":{"name":"a"}}}}"#;
    check("ka.req.pod.containers.eff_run_as_user", None, payload, &[]);
    check("ka.req.pod.containers.name", None, payload, &["a"]);
}

#[test]
fn only_arrays_of_capabilities_are_flattened() {
    let payload = r#"{"auditID":"x","requestObject":{"spec":{"containers":[
        {"securityContext":{"capabilities":{"add":["A","B"]}}},{"securityContext":{"capabilities":{"add":null}}}]}}}"#;
    check("ka.req.pod.containers.add_capabilities", None, payload, &["A", "B", "null"]);
}

#[test]
fn only_patches_among_the_lists_have_no_fields() {
    let privileged = |request: &str, expected: &[&str]| {
        let payload = format!(r#"{{"auditID":"x","requestObject":{request}}}"#);
        check("ka.req.container.privileged", None, &payload, expected);
    };
    privileged("[]", &[]);
    privileged(r#"[{"op":"remove","path":"/x"}]"#, &[]);
    privileged("[1]", &["false"]);
    privileged(r#"[{"spec":{"containers":[{"securityContext":{"privileged":true}}]}}]"#, &["true"]);
}

/// Whatever the members hold, no field may panic.
#[test]
fn odd_shapes_break_nothing() {
    let shapes =
        ["null", "true", "7", r#""text""#, "[]", "{}", "[[]]", "[null]", r#"[{"name":[1]}]"#];
    for shape in shapes {
        for inner in shapes {
            let object = format!(
                r#"{{"spec":{{"containers":{inner},"volumes":{inner},"ports":{inner},"securityContext":{inner}}},
                "rules":{inner},"subjects":{inner},"data":{inner}}}"#
            );
            for request in [shape, object.as_str()] {
                let payload = format!(
                    r#"{{"auditID":"x","requestObject":{request},"requestURI":{shape},"objectRef":{shape},"user":{inner}}}"#
                );
                for field in &FIELDS {
                    values(field, None, &payload);
                    values(field, Some("0"), &payload);
                }
            }
        }
    }
}
