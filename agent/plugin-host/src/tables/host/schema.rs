//! What the host's tables are called, what their keys are, and which fields they have.

use std::ffi::{CStr, CString};

use crate::abi::state_type::{BOOL, INT64, STRING, TABLE, UINT8, UINT16, UINT32, UINT64};
use crate::abi::{StateType, TableFieldInfo};

/// What a table of the host holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// One for each thread of the system.
    Threads,
    /// The arguments of a thread's command line.
    Arguments,
    /// The variables of its environment.
    Environment,
    /// Its control groups.
    Cgroups,
    /// Its open files.
    Files,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] =
        [Self::Threads, Self::Arguments, Self::Environment, Self::Cgroups, Self::Files];

    /// For those in an entry of another table this is the name of the field that they are the value of.
    pub(crate) fn name(self) -> &'static CStr {
        match self {
            Self::Threads => c"threads",
            Self::Arguments => c"args",
            Self::Environment => c"env",
            Self::Cgroups => c"cgroups",
            Self::Files => c"file_descriptors",
        }
    }

    pub(crate) fn key_type(self) -> StateType {
        match self {
            Self::Threads | Self::Files => INT64,
            Self::Arguments | Self::Environment | Self::Cgroups => UINT64,
        }
    }

    /// Whether plugins may add fields.
    fn is_open(self) -> bool {
        matches!(self, Self::Threads | Self::Files)
    }

    fn of_field(name: &CStr) -> Option<Self> {
        Self::ALL.into_iter().skip(1).find(|kind| kind.name() == name)
    }
}

/// The fields of a kind of table. They only become more.
#[derive(Debug)]
pub(super) struct Schema {
    kind: Kind,
    fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    name: CString,
    pub(super) field_type: StateType,
    pub(super) is_read_only: bool,
    /// Whether a plugin has added it.
    is_added: bool,
    /// What lies in it, if that is a table.
    pub(super) holds: Option<Kind>,
}

impl Schema {
    pub(super) fn new(kind: Kind) -> Self {
        let fields = match kind {
            Kind::Threads => THREADS,
            Kind::Arguments | Kind::Environment => VALUES,
            Kind::Cgroups => PAIRS,
            Kind::Files => FILES,
        };
        let fields = fields.iter().map(|&(name, field_type)| Field {
            name: name.to_owned(),
            field_type,
            is_read_only: field_type == TABLE || name == c"cwd",
            is_added: false,
            holds: if field_type == TABLE { Kind::of_field(name) } else { None },
        });
        Self { kind, fields: fields.collect() }
    }

    pub(super) fn get(&self, index: usize) -> Option<&Field> {
        self.fields.get(index)
    }

    /// The index of the field of this name and type.
    pub(super) fn find(&self, name: &CStr, field_type: StateType) -> Option<usize> {
        let is_it = |field: &Field| *field.name == *name && field.field_type == field_type;
        self.fields.iter().position(is_it)
    }

    /// Adds a field, or finds the one that was added with the same name and type.
    pub(super) fn add(&mut self, name: &CStr, field_type: StateType) -> Option<usize> {
        if !self.kind.is_open() {
            return None;
        }
        if let Some(index) = self.fields.iter().position(|field| *field.name == *name) {
            let field = &self.fields[index];
            return (field.is_added && field.field_type == field_type).then_some(index);
        }
        self.fields.push(Field {
            name: name.to_owned(),
            field_type,
            is_read_only: false,
            is_added: true,
            holds: None,
        });
        Some(self.fields.len() - 1)
    }

    /// The names stay where they are as long as the schema is there.
    pub(super) fn list(&self) -> Vec<TableFieldInfo> {
        let info = |field: &Field| TableFieldInfo {
            name: field.name.as_ptr(),
            field_type: field.field_type,
            read_only: u32::from(field.is_read_only),
        };
        self.fields.iter().map(info).collect()
    }
}

/// Source: libs 48dfd53, `userspace/libsinsp/threadinfo.cpp`.
const THREADS: &[(&CStr, StateType)] = &[
    (c"tid", INT64),
    (c"pid", INT64),
    (c"ptid", INT64),
    (c"reaper_tid", INT64),
    (c"sid", INT64),
    (c"comm", STRING),
    (c"exe", STRING),
    (c"exe_path", STRING),
    (c"exe_writable", BOOL),
    (c"exe_upper_layer", BOOL),
    (c"exe_lower_layer", BOOL),
    (c"exe_from_memfd", BOOL),
    (c"args", TABLE),
    (c"env", TABLE),
    (c"cgroups", TABLE),
    (c"flags", UINT32),
    (c"fd_limit", INT64),
    (c"uid", UINT32),
    (c"gid", UINT32),
    (c"loginuid", UINT32),
    (c"exe_ino", UINT64),
    (c"exe_ino_ctime", UINT64),
    (c"exe_ino_mtime", UINT64),
    (c"vtid", INT64),
    (c"vpid", INT64),
    (c"vpgid", INT64),
    (c"pgid", INT64),
    (c"pidns_init_start_ts", UINT64),
    (c"root", STRING),
    (c"tty", UINT32),
    (c"file_descriptors", TABLE),
    (c"cwd", STRING),
];

/// The field of a thread that is its key.
pub(super) const THREAD_ID: usize = 0;

const VALUES: &[(&CStr, StateType)] = &[(c"value", STRING)];

const PAIRS: &[(&CStr, StateType)] = &[(c"first", STRING), (c"second", STRING)];

/// Source: libs 48dfd53, `userspace/libsinsp/fdinfo.cpp`.
const FILES: &[(&CStr, StateType)] = &[
    (c"type", UINT8),
    (c"open_flags", UINT32),
    (c"name", STRING),
    (c"name_raw", STRING),
    (c"old_name", STRING),
    (c"flags", UINT32),
    (c"dev", UINT32),
    (c"mount_id", UINT32),
    (c"ino", UINT64),
    (c"pid", INT64),
    (c"fd", INT64),
    (c"socket_ipv4_src_ip", UINT32),
    (c"socket_ipv4_dest_dip", UINT32),
    (c"socket_ipv4_src_port", UINT16),
    (c"socket_ipv4_dst_port", UINT16),
    (c"socket_ipv4_l4_proto", UINT8),
    (c"socket_ipv6_src_ip_low", UINT64),
    (c"socket_ipv6_src_ip_high", UINT64),
    (c"socket_ipv6_dest_ip_low", UINT64),
    (c"socket_ipv6_dest_ip_high", UINT64),
    (c"socket_ipv6_src_port", UINT16),
    (c"socket_ipv6_dst_port", UINT16),
    (c"socket_ipv6_l4_proto", UINT8),
    (c"socket_ipv4_server_ip", UINT32),
    (c"socket_ipv4_server_port", UINT16),
    (c"socket_ipv4_server_l4_proto", UINT8),
    (c"socket_ipv6_server_ip_low", UINT64),
    (c"socket_ipv6_server_ip_high", UINT64),
    (c"socket_ipv6_server_port", UINT16),
    (c"socket_ipv6_server_l4_proto", UINT8),
    (c"socket_unix_src", UINT64),
    (c"socket_unix_dest", UINT64),
];
