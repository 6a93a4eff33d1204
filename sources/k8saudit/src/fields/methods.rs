//! The methods that the table of fields refers to.
//!
//! Source: the stock plugin k8saudit 0.18.0; where a method deliberately differs, it says so, and so does
//! `docs/differences-from-falco.md`.

use plugin_support::json::{Kind, Value};

use super::{Path, Text};

/// The value at `path`.
pub(super) fn scalar(event: Value<'_>, path: Path) -> Option<Text> {
    at(event, path).map(text)
}

/// The elements of the array at `path`.
///
/// For `ka.sourceips` stock looks in the wrong place.
pub(super) fn elements(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    at(event, path).into_iter().flat_map(|array| pick(array, index)).map(text).collect()
}

/// What stands at `path` in the request object, for each element of the arrays on the way.
///
/// An element that lacks it is left out, where stock gives up the whole of a container's `name` or `image`.
pub(super) fn values(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    found(event, path, index).map(text).collect()
}

/// The first of `values`, if the first element of the array has one.
pub(super) fn first_value(event: Value<'_>, path: Path) -> Option<Text> {
    values(event, path, Some(0)).into_iter().next()
}

/// As `values`, of each image only its repository.
pub(super) fn repositories(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    found(event, path, index).map(|image| repository(text(image))).collect()
}

/// As `first_value`, of the image only its repository.
pub(super) fn first_repository(event: Value<'_>, path: Path) -> Option<Text> {
    first_value(event, path).map(repository)
}

/// As `values`, where each is an array of strings, which are joined by blanks.
pub(super) fn joined(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    let join = |words: Value<'_>| {
        let words: Option<Vec<_>> = words.elements().map(Value::as_str).collect();
        words.map(|words| words.join(&b' '))
    };
    let texts: Option<_> = found(event, path, index)
        .map(|words| if is_array(words) { join(words) } else { None })
        .collect();
    texts.unwrap_or_default()
}

/// As `values`, where each should be an array, of which all elements become elements of the field.
pub(super) fn flattened(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    found(event, path, index).flat_map(Value::elements).map(text).collect()
}

/// The capabilities that `path` leads to arrays of, each an element of the field.
///
/// What is no array stands for itself. Stock gives each array as one text, which `intersects` never finds a capability in.
pub(super) fn capabilities(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    let of_container = |added| if is_array(added) { pick(added, None) } else { vec![added] };
    found(event, path, index).flat_map(of_container).map(text).collect()
}

/// The ports that containers open on their host, where `path` leads to arrays of ports.
///
/// A container port without a host port counts: with the host's network it is one.
pub(super) fn host_ports(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    let ports: Vec<_> = found(event, path, index).collect();
    if !ports.iter().copied().all(is_array) {
        return Vec::new();
    }
    let number =
        |port: Value<'_>| port.get(b"hostPort").or_else(|| port.get(b"containerPort")).map(text);
    ports.into_iter().flat_map(Value::elements).filter_map(number).collect()
}

/// The user or group that each container runs as: its own setting, else the pod's, else 0.
///
/// `path` is the member that holds the containers, and the name of the setting. Stock leaves out `securityContext` and so
/// always finds 0.
pub(super) fn effective_id(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    let [containers, setting] = path else { return Vec::new() };
    let Some(spec) = request_object(event).and_then(|pod| pod.get(b"spec")) else {
        return Vec::new();
    };
    let own = |object: Value<'_>| {
        let id = at(object, &["securityContext"])?.get(setting.as_bytes())?;
        (id.kind() != Kind::Null).then(|| text(id))
    };
    let of_pod = own(spec).unwrap_or_else(|| b"0".to_vec());
    let containers = spec.get(containers.as_bytes()).into_iter();
    containers
        .flat_map(|containers| pick(containers, index))
        .map(|container| own(container).unwrap_or_else(|| of_pod.clone()))
        .collect()
}

/// `true` if a value at `path` in the request object is, else `false`; nothing if the way there is missing.
pub(super) fn any_true(event: Value<'_>, path: Path) -> Option<Text> {
    let values = walk(request_object(event)?, path, None)?;
    Some(truth(values.iter().any(|value| value.kind() == Kind::True)))
}

/// What the volumes are: every member of a volume but its name.
pub(super) fn volume_types(event: Value<'_>, path: Path, index: Option<u64>) -> Vec<Text> {
    let volumes = request_object(event).and_then(|pod| at(pod, path));
    let volumes = volumes.into_iter().flat_map(|volumes| match volumes.kind() {
        // Stock takes an object in place of the array for a volume.
        Kind::Object => vec![volumes],
        _ => pick(volumes, index),
    });
    let members = volumes.flat_map(Value::members);
    members.filter(|(name, _)| !name.is_str(b"name")).map(|(name, _)| text(name)).collect()
}

/// The names of a binding's subjects that are of the kind in `path`.
pub(super) fn subject_names(event: Value<'_>, path: Path, _index: Option<u64>) -> Vec<Text> {
    subjects(event, path).map(|(_, name)| name).collect()
}

/// As `subject_names`, with the namespace before the name; a subject without one is left out.
pub(super) fn subject_namespaced_names(
    event: Value<'_>,
    path: Path,
    _index: Option<u64>,
) -> Vec<Text> {
    subjects(event, path)
        .filter_map(|(subject, name)| Some([text(subject.get(b"namespace")?), name].join(&b':')))
        .collect()
}

fn subjects<'d>(event: Value<'d>, path: Path) -> impl Iterator<Item = (Value<'d>, Text)> {
    let subjects = at(event, &["requestObject", "subjects"]);
    subjects.into_iter().flat_map(Value::elements).filter_map(move |subject| {
        let kind = subject.get(b"kind")?;
        let is_wanted = path.iter().any(|wanted| kind.is_str(wanted.as_bytes()));
        Some((subject, text(subject.get(b"name")?))).filter(|_| is_wanted)
    })
}

/// The name of the pod itself that the request is about, from the response: only there is a name that the server made up.
pub(super) fn pod_name(event: Value<'_>, path: Path) -> Option<Text> {
    let target = event.get(b"objectRef")?;
    let is_pod = target.get(b"resource")?.is_str(b"pods");
    let subresource = target.get(b"subresource").and_then(Value::as_str).unwrap_or_default();
    if is_pod && subresource.is_empty() { scalar(event, path) } else { None }
}

/// Whether a volume mounts the host's path `key`; a star at its end stands for anything.
pub(super) fn mounts_host_path(event: Value<'_>, key: &[u8]) -> Option<Text> {
    let paths = walk(request_object(event)?, &["spec", "volumes", "hostPath", "path"], None)?;
    let prefix = key.strip_suffix(b"*");
    let is_mounted = paths
        .into_iter()
        .map(text)
        .any(|path| path == key || prefix.is_some_and(|p| path.starts_with(p)));
    Some(truth(is_mounted))
}

/// What stock gives for the deprecated `ka.req.binding.subject.has_name`, whatever the subject.
pub(super) fn always_true(_event: Value<'_>, _key: &[u8]) -> Option<Text> {
    Some(truth(true))
}

/// An image reference without tag and digest. Stock cuts at the first colon, also at that of a registry's port.
fn repository(mut image: Text) -> Text {
    let name = image.split(|&byte| byte == b'@').next().unwrap_or_default();
    let last_segment = name.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let tag = name[last_segment..].iter().position(|&byte| byte == b':');
    let length = tag.map_or(name.len(), |colon| last_segment + colon);
    image.truncate(length);
    image
}

/// The values at the end of `path` in the request object.
fn found<'d>(event: Value<'d>, path: Path, index: Option<u64>) -> impl Iterator<Item = Value<'d>> {
    request_object(event).and_then(|object| walk(object, path, index)).into_iter().flatten()
}

/// The request object, unless it is a JSON Patch: a list of changes has none of our fields.
///
/// Any other list is gone into. Stock goes into patches, too, and finds there such values as `false`.
fn request_object(event: Value<'_>) -> Option<Value<'_>> {
    let is_patch =
        |object| is_array(object) && object.elements().all(|change| change.get(b"op").is_some());
    event.get(b"requestObject").filter(|&object| !is_patch(object))
}

/// Goes through the members of `path`, and on the way into every element of an array, or into the one at `index`. An
/// array at the end is not gone into.
///
/// `None` if the path breaks off outside of any array.
fn walk<'d>(from: Value<'d>, path: &[&str], index: Option<u64>) -> Option<Vec<Value<'d>>> {
    let mut value = from;
    for (step, member) in path.iter().enumerate() {
        if is_array(value) {
            let walk_rest = |element| walk(element, &path[step..], index);
            return match index {
                Some(_) => walk_rest(pick(value, index).pop()?),
                None => Some(value.elements().filter_map(walk_rest).flatten().collect()),
            };
        }
        value = value.get(member.as_bytes())?;
    }
    Some(vec![value])
}

/// The elements of an array, or only the one at `index`; of anything else none.
fn pick(array: Value<'_>, index: Option<u64>) -> Vec<Value<'_>> {
    match index {
        None => array.elements().collect(),
        Some(index) => {
            usize::try_from(index).ok().and_then(|index| array.at(index)).into_iter().collect()
        }
    }
}

fn at<'d>(from: Value<'d>, path: &[&str]) -> Option<Value<'d>> {
    path.iter().try_fold(from, |value, member| value.get(member.as_bytes()))
}

fn is_array(value: Value<'_>) -> bool {
    value.kind() == Kind::Array
}

/// The value as rules see it.
pub(super) fn text(value: Value<'_>) -> Text {
    value.to_text()
}

fn truth(is_true: bool) -> Text {
    if is_true { b"true".to_vec() } else { b"false".to_vec() }
}
