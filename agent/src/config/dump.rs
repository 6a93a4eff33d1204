//! The merged configuration as text that may be shown to others.

use serde_json::{Map, Value as Json};

use super::finding::Findings;
use super::init_config::scalar_json;
use super::tree::{Entry, Node, Value};
use super::{main_file, process_environment, read_tree};
use crate::cli::Cli;

const HIDDEN: &str = "***";

/// Words in names of settings that hold a secret.
const SECRET_WORDS: [&str; 9] = [
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "apikey",
    "credential",
    "authorization",
    "headers",
];

/// Settings that name a file with a secret.
const FILE_WORDS: [&str; 3] = ["file", "path", "dir"];

/// Files, included files and options as one line, which is JSON and so YAML.
///
/// Values of settings that sound like a secret and credentials in URLs are hidden. What came from the environment is shown
/// as it was written.
pub(crate) fn dump(cli: &Cli) -> String {
    let mut findings = Findings::default();
    let (root, _) = read_tree(main_file(cli), &cli.options, &process_environment, &mut findings);
    shown("", &root).to_string()
}

/// A word of the command line without what it may hide: `-o`'s values of such settings, credentials in URLs.
pub(crate) fn without_secret(word: &str) -> String {
    match word.split_once('=') {
        // What is in a map stands in the configuration, so nothing is lost.
        Some((key, value)) if is_secret(key) || value.trim_start().starts_with(['{', '[']) => {
            format!("{key}={HIDDEN}")
        }
        _ => without_credentials(word),
    }
}

fn shown(key: &str, node: &Node) -> Json {
    if is_secret(key) && !node.is_null() {
        return HIDDEN.into();
    }
    match &node.value {
        Value::Null => Json::Null,
        Value::Scalar(scalar) => {
            let written = node.position.source.text.get(node.position.span.clone());
            if let Some(written) = written.filter(|text| text.contains("${")) {
                return written.into();
            }
            match serde_json::from_str(&scalar.text) {
                // The JSON text of a plugin's configuration.
                Ok(json @ (Json::Object(_) | Json::Array(_))) => shown_json(key, json),
                _ => match scalar_json(scalar) {
                    Json::String(text) => without_credentials(&text).into(),
                    json => json,
                },
            }
        }
        Value::List(items) => items.iter().map(|item| shown("", item)).collect(),
        Value::Map(entries) => {
            let member = |entry: &Entry| (entry.key.clone(), shown(&entry.key, &entry.value));
            Json::Object(entries.iter().map(member).collect::<Map<_, _>>())
        }
    }
}

fn shown_json(key: &str, json: Json) -> Json {
    match json {
        _ if is_secret(key) => HIDDEN.into(),
        Json::String(text) => without_credentials(&text).into(),
        Json::Array(items) => items.into_iter().map(|item| shown_json("", item)).collect(),
        Json::Object(members) => {
            let member = |(key, value): (String, Json)| (key.clone(), shown_json(&key, value));
            Json::Object(members.into_iter().map(member).collect())
        }
        json => json,
    }
}

fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace(['_', '-'], "");
    let has = |words: &[&str]| words.iter().any(|word| key.contains(word));
    has(&SECRET_WORDS) && !has(&FILE_WORDS)
}

/// `https://user:password@host` as `https://***@host`.
fn without_credentials(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    match authority.rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN}{}", &rest[at..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(word: &str, expected: &str) {
        assert_eq!(without_secret(word), expected);
    }

    #[test]
    fn secrets_on_the_command_line_are_hidden() {
        check("-c", "-c");
        check("json_output=true", "json_output=true");
        check("http_output.url=http://me:pw@host/a@b", "http_output.url=http://***@host/a@b");
        check("plugins[0].init_config.apiKey=abc", "plugins[0].init_config.apiKey=***");
        check("plugins[0].init_config={\"x\": 1}", "plugins[0].init_config=***");
        check(
            "plugins[0].init_config.bearerTokenFile=/t",
            "plugins[0].init_config.bearerTokenFile=/t",
        );
    }
}
