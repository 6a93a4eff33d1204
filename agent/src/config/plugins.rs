//! `plugins` and `load_plugins`: which plugins to load, with which settings.

use std::path::{Component, Path, PathBuf};

use super::init_config::init_config_text;
use super::schema::Shape;
use super::section::Section;
use super::source::Position;
use crate::sha256::{NotAHash, Sha256};

/// Where Falco's packages put plugins.
const FALCO_PLUGINS_DIR: &str = "/usr/share/falco/plugins";

/// Enriches system calls, which this build does not have. Falco's packages configure it everywhere.
const CONTAINER_PLUGIN: &str = "container";

/// One plugin that is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PluginConfig {
    /// The label of the entry; a source plugin bears the same name itself.
    pub(crate) name: String,
    /// As written: absolute, or relative to the folders of [`PluginsConfig::find`]. Never empty,
    /// and never outside of these folders.
    pub(crate) library_path: PathBuf,
    /// What the library must hash to.
    pub(crate) sha256: Option<Sha256>,
    /// What the plugin's `init` gets: usually JSON, empty if nothing is configured.
    pub(crate) init_config: String,
    /// What the plugin's `open` gets.
    pub(crate) open_params: String,
    pub(crate) on_failure: OnFailure,
    /// Whether it runs in child processes.
    pub(crate) is_isolated: bool,
    pub(super) open_params_position: Option<Position>,
}

impl PluginConfig {
    /// Whether a plugin is initialised and opened alike.
    pub(crate) fn opens_alike(&self, other: &PluginConfig) -> bool {
        self.init_config == other.init_config && self.open_params == other.open_params
    }

    /// Whether all settings are the same that a reload can put into force.
    pub(crate) fn is_same(&self, other: &PluginConfig) -> bool {
        self.opens_alike(other) && self.on_failure == other.on_failure
    }
}

/// What becomes of an event source that fails while it runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// It is opened again as long as there is another source that runs. The failure of the last one ends the agent: most
    /// likely it reads something once, and nobody waits for it to be read again and again.
    #[default]
    ReopenBesideOthers,
    /// It is opened again, however often it fails.
    Reopen,
    /// It stays closed.
    Stop,
    /// The agent ends, as stock does.
    Exit,
}

/// The plugins to load, in order, and where to find them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PluginsConfig {
    pub(crate) list: Vec<PluginConfig>,
    /// The folder that relative library paths are looked up in first.
    pub(crate) directory: Option<PathBuf>,
}

/// A library that is in none of the folders.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot find the library {} of plugin '{plugin}'; looked for {}; Falco's plugins are installed by `falcoctl artifact install {plugin}`",
    library_path.display(),
    tried.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
)]
pub(crate) struct LibraryNotFound {
    plugin: String,
    library_path: PathBuf,
    tried: Vec<PathBuf>,
}

impl PluginsConfig {
    pub(super) fn read(root: &mut Section<'_, '_>) -> PluginsConfig {
        let directory = root.optional_text("plugins_dir").map(PathBuf::from);
        let configured = root.sections("plugins", |section| read_plugin(section, &directory));
        let configured = configured.into_iter().flatten().collect();
        let list = select(root, configured);
        PluginsConfig { list, directory }
    }

    /// Whether the same libraries are to be loaded, with whatever settings.
    pub(crate) fn are_same_libraries(&self, other: &PluginsConfig) -> bool {
        let library = |plugin: &PluginConfig| {
            (plugin.name.clone(), plugin.library_path.clone(), plugin.sha256, plugin.is_isolated)
        };
        self.directory == other.directory
            && self.list.iter().map(library).eq(other.list.iter().map(library))
    }

    /// The library file of a plugin. `executable` is the running program's own path.
    ///
    /// A relative path is looked up in the configured folder, beside the installed program
    /// (`../share/shikra/plugins`), beside the program itself (the build tree), and where Falco
    /// keeps its plugins.
    pub(crate) fn find(
        &self,
        plugin: &PluginConfig,
        executable: &Path,
    ) -> Result<PathBuf, LibraryNotFound> {
        if plugin.library_path.is_absolute() {
            return Ok(plugin.library_path.clone());
        }
        let beside = executable.parent().unwrap_or(Path::new("/"));
        let installed = beside.parent().map(|prefix| prefix.join("share/shikra/plugins"));
        let folders = self
            .directory
            .clone()
            .into_iter()
            .chain(installed)
            .chain([beside.to_path_buf(), PathBuf::from(FALCO_PLUGINS_DIR)]);
        let tried: Vec<_> = folders.map(|folder| folder.join(&plugin.library_path)).collect();
        tried.iter().find(|path| path.is_file()).cloned().ok_or_else(|| LibraryNotFound {
            plugin: plugin.name.clone(),
            library_path: plugin.library_path.clone(),
            tried,
        })
    }
}

fn read_plugin(section: &mut Section<'_, '_>, directory: &Option<PathBuf>) -> Option<PluginConfig> {
    let missing = "every plugin needs this setting";
    let name = section.required_text("name", missing).map(str::to_string);
    let library_path = section.required_text("library_path", missing).map(PathBuf::from);
    if let Some(path) = library_path.as_deref().filter(|path| leaves_its_folder(path)) {
        let folder = directory.as_deref().unwrap_or(Path::new(FALCO_PLUGINS_DIR));
        let message = format!(
            "plugin library_path '{}' resolves outside the plugins directory ({})",
            path.display(),
            folder.display()
        );
        section.problem("library_path", &message);
    }
    // Empty is wrong too: an unset `${VAR}` must not switch the check off.
    let sha256 = section.optional_text("sha256").map(str::parse).transpose();
    let sha256 = sha256.unwrap_or_else(|error: NotAHash| {
        section.problem("sha256", &error.to_string());
        None
    });
    let shape = Shape::Either(vec![Shape::Scalar, Shape::Map(Box::new(Shape::Any))]);
    let init_config =
        match section.entry("init_config", shape).map(|entry| init_config_text(&entry.value)) {
            None => String::new(),
            Some(Ok(text)) => text,
            Some(Err(message)) => {
                section.problem("init_config", &message);
                String::new()
            }
        };
    let open_params = section.text("open_params", "").trim().to_string();
    let on_failure = section.parsed("on_failure", OnFailure::default(), |text| match text {
        "reopen" => Ok(OnFailure::Reopen),
        "stop" => Ok(OnFailure::Stop),
        "exit" => Ok(OnFailure::Exit),
        _ => Err(format!("expected reopen, stop or exit, found `{text}`")),
    });
    let is_isolated = section.parsed("isolation", false, |text| match text {
        "process" => Ok(true),
        "none" => Ok(false),
        _ => Err(format!("expected process or none, found `{text}`")),
    });
    Some(PluginConfig {
        name: name?,
        library_path: library_path?,
        sha256,
        init_config,
        open_params,
        on_failure,
        is_isolated,
        open_params_position: section.position("open_params").cloned(),
    })
}

/// Whether a relative path climbs out of the folder that it starts in.
fn leaves_its_folder(path: &Path) -> bool {
    let mut depth = 0;
    for component in path.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => return false,
            Component::CurDir => {}
            Component::Normal(_) => depth += 1,
            Component::ParentDir if depth == 0 => return true,
            Component::ParentDir => depth -= 1,
        }
    }
    false
}

/// What `load_plugins` names, in its order; everything if that key is missing.
fn select(root: &mut Section<'_, '_>, configured: Vec<PluginConfig>) -> Vec<PluginConfig> {
    let mut selected = Vec::new();
    let mut skips_container = false;
    let names = root.texts("load_plugins");
    if !root.is_present("load_plugins") {
        selected = configured;
        skips_container = selected.iter().any(|plugin| plugin.name == CONTAINER_PLUGIN);
        selected.retain(|plugin| plugin.name != CONTAINER_PLUGIN);
    } else {
        for name in names {
            if name == CONTAINER_PLUGIN {
                skips_container = true;
                continue;
            }
            match configured.iter().find(|plugin| plugin.name == name) {
                Some(plugin) => selected.push(plugin.clone()),
                None => {
                    let message = format!(
                        "Cannot load plugin '{name}': plugin config not found for given name"
                    );
                    root.problem("load_plugins", &message);
                }
            }
        }
    }
    if skips_container {
        root.findings().info(format!(
            "Ignoring plugin '{CONTAINER_PLUGIN}': it works on system calls, and this build has no \
             kernel drivers"
        ));
    }
    selected
}
