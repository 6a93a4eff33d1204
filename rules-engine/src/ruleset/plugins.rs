//! `required_plugin_versions`: which plugins, at least how new.

use crate::diagnostic::{Code, Context, Diagnostic, Subject};
use crate::document::{Node, parse_version};
use crate::load::PluginVersion;

use super::fields::{Fields, invalid};
use super::read::Reader;
use super::{Checked, PluginRequirement};

/// Plugins that do no more than add fields to system calls.
const PLUGINS_FOR_SYSTEM_CALLS: [&str; 2] = ["container", "k8smeta"];

impl Reader<'_> {
    pub(super) fn plugin_versions(&mut self, item: Node<'_>, file: &Context) -> Checked<()> {
        let Some(entries) = item.get("required_plugin_versions") else { return Ok(()) };
        let context = file.with(Subject::RequiredPluginVersions, "", entries.span());
        let Some(elements) = entries.elements() else {
            let message = "Value of required_plugin_versions must be a sequence";
            return Err(invalid(message, &context));
        };
        for entry in elements {
            let requirement = requirement(entry, &context)?;
            self.definitions.plugin_requirements.push(requirement);
        }
        self.warn_of_unknown_keys(item, &["required_plugin_versions"], &context);
        Ok(())
    }
}

fn requirement(entry: Node<'_>, parent: &Context) -> Checked<PluginRequirement> {
    let kind = Subject::RequiredPluginVersionsEntry;
    let unnamed = parent.with(kind, "", entry.span());
    if !entry.is_mapping() {
        return Err(invalid("Plugin version must be a mapping", &unnamed));
    }
    let name = Fields { node: entry, context: &unnamed }.text("name")?;
    let context = parent.with(kind, name.as_str(), entry.span());
    let mut alternatives = vec![alternative(Fields { node: entry, context: &context })?];
    let Some(others) = entry.get("alternatives").filter(|node| !node.is_null()) else {
        return Ok(PluginRequirement { alternatives });
    };
    let Some(elements) = others.elements() else {
        let message = "Value of plugin version alternatives must be a sequence";
        return Err(invalid(message, &context));
    };
    for element in elements {
        let kind = Subject::RequiredPluginVersionsAlternative;
        let unnamed = context.with(kind, "", element.span());
        if !element.is_mapping() {
            return Err(invalid("Plugin version alternative must be a mapping", &unnamed));
        }
        let name = Fields { node: element, context: &unnamed }.text("name")?;
        let context = context.with(kind, name.as_str(), element.span());
        let other = alternative(Fields { node: element, context: &context })?;
        if alternatives.iter().any(|(name, _)| *name == other.0) {
            let message = format!(
                "Defined multiple alternative version requirements for plugin '{}'",
                other.0
            );
            return Err(Box::new(Diagnostic::new(Code::Validate, message, &context)));
        }
        alternatives.push(other);
    }
    Ok(PluginRequirement { alternatives })
}

fn alternative(fields: Fields<'_, '_>) -> Checked<(String, String)> {
    let name = fields.text("name")?.as_str().to_owned();
    let version = fields.text("version")?.as_str().to_owned();
    if parse_version(&version).is_none() {
        let message = format!("Invalid required version '{version}' for plugin '{name}'");
        return Err(Box::new(Diagnostic::new(Code::Validate, message, fields.context)));
    }
    Ok((name, version))
}

/// Checks the requirements of all files against the loaded plugins.
///
/// Of the alternatives, the first that is loaded decides, even if a later one would do. A plugin
/// that only adds to system calls need not be there: the rules about these are left out.
///
/// # Errors
///
/// Falco's message for the first requirement that is not met.
pub(crate) fn check_requirements(
    requirements: &[PluginRequirement],
    plugins: &[PluginVersion],
) -> Result<(), String> {
    for requirement in requirements {
        let loaded = requirement.alternatives.iter().find_map(|(name, required)| {
            plugins.iter().find(|plugin| plugin.name == *name).map(|plugin| (plugin, required))
        });
        let Some((plugin, required)) = loaded else {
            if requirement.is_for_system_calls() {
                continue;
            }
            let alternatives: Vec<String> = requirement
                .alternatives
                .iter()
                .map(|(name, version)| format!("{name} (>= {version})"))
                .collect();
            return Err(format!(
                "Plugin requirement not satisfied, must load one of: {}",
                alternatives.join(", ")
            ));
        };
        let PluginVersion { name, version } = plugin;
        let Some(offered) = parse_version(version) else {
            return Err(format!("Plugin '{name}' has invalid version string '{version}'"));
        };
        let wanted = parse_version(required).unwrap_or_default();
        if offered[0] != wanted[0] || offered < wanted {
            return Err(format!(
                "Plugin '{name}' version '{version}' is not compatible with required plugin \
                 version '{required}'"
            ));
        }
    }
    Ok(())
}

impl PluginRequirement {
    fn is_for_system_calls(&self) -> bool {
        self.alternatives.iter().any(|(name, _)| PLUGINS_FOR_SYSTEM_CALLS.contains(&name.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Case 106
    #[test]
    fn the_first_loaded_alternative_decides() {
        #[track_caller]
        fn check(required: &[(&str, &str)], expected: Result<(), &str>) {
            let plugins = [("a", "0.3.2"), ("b", "1.0.0"), ("odd", "x")].map(|(name, version)| {
                PluginVersion { name: name.to_owned(), version: version.to_owned() }
            });
            let owned =
                |(name, version): &(&str, &str)| ((*name).to_owned(), (*version).to_owned());
            let alternatives = required.iter().map(owned).collect();
            let result = check_requirements(&[PluginRequirement { alternatives }], &plugins);
            assert_eq!(result, expected.map_err(str::to_owned));
        }
        check(&[("a", "0.3.0")], Ok(()));
        check(&[("c", "9.0.0"), ("b", "1.0.0")], Ok(()));
        check(
            &[("a", "0.4.0"), ("b", "1.0.0")],
            Err(
                "Plugin 'a' version '0.3.2' is not compatible with required plugin version '0.4.0'",
            ),
        );
        check(
            &[("b", "0.9.0")],
            Err(
                "Plugin 'b' version '1.0.0' is not compatible with required plugin version '0.9.0'",
            ),
        );
        check(
            &[("c", "0.1.0"), ("d", "0.2.0")],
            Err("Plugin requirement not satisfied, must load one of: c (>= 0.1.0), d (>= 0.2.0)"),
        );
        check(&[("container", "0.4.0")], Ok(()));
        check(&[("odd", "1.0.0")], Err("Plugin 'odd' has invalid version string 'x'"));
    }
}
