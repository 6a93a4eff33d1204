//! The table `threads`, and what is refused, by the functions that plugins get.

use std::ffi::CStr;
use std::ptr;
use std::sync::Arc;

use super::{StateTables, calls};
use crate::abi::state_type::{BOOL, INT64, STRING, TABLE, UINT8, UINT16, UINT64};
use crate::abi::{StateData, StateType, Table, TableEntry, TableField, TableIteratorState};
use crate::library::API_VERSION;
use crate::owner::{self, Owner};

type TablePtr = *mut Table;
type EntryPtr = *mut TableEntry;
type FieldPtr = *mut TableField;

const NO_ENTRY: EntryPtr = ptr::null_mut();
const NO_FIELD: FieldPtr = ptr::null_mut();

/// A plugin that calls the host. All of it is safe: the pointers that it passes are null, or were given out at some time.
#[derive(Clone, Copy)]
struct User(&'static Owner);

fn number(number: u64) -> StateData {
    StateData { u64_: number }
}

impl User {
    fn new(tables: &Arc<StateTables>) -> Self {
        let log: Arc<crate::LogSink> = Arc::new(|_, _: &str, _: &str| {});
        Self(Owner::leak("test", API_VERSION, log, Arc::clone(tables)))
    }

    fn table(self, name: &CStr, key_type: StateType) -> TablePtr {
        // SAFETY: the owner is one, and the name a C string.
        unsafe { calls::get_table(self.0.handle(), name.as_ptr(), key_type) }
    }

    fn threads(self) -> TablePtr {
        self.table(c"threads", INT64)
    }

    fn error(self) -> String {
        // SAFETY: the owner is one.
        let error = unsafe { owner::last_error(self.0.handle()) };
        // SAFETY: null or the owner's text, which nothing changes meanwhile.
        unsafe { crate::abi::copy_text(error) }
    }

    fn field(self, table: TablePtr, name: &CStr, field_type: StateType) -> FieldPtr {
        // SAFETY: see above.
        unsafe { calls::get_table_field(table, name.as_ptr(), field_type) }
    }

    fn add_field(self, table: TablePtr, name: &CStr, field_type: StateType) -> FieldPtr {
        // SAFETY: see above.
        unsafe { calls::add_table_field(table, name.as_ptr(), field_type) }
    }

    fn create(self, table: TablePtr) -> EntryPtr {
        // SAFETY: see above.
        unsafe { calls::create_table_entry(table) }
    }

    fn add(self, table: TablePtr, key: u64, entry: EntryPtr) -> EntryPtr {
        let key = number(key);
        // SAFETY: see above.
        unsafe { calls::add_table_entry(table, &raw const key, entry) }
    }

    fn get(self, table: TablePtr, key: u64) -> EntryPtr {
        let key = number(key);
        // SAFETY: see above.
        unsafe { calls::get_table_entry(table, &raw const key) }
    }

    fn release(self, table: TablePtr, entry: EntryPtr) {
        // SAFETY: see above.
        unsafe { calls::release_table_entry(table, entry) };
    }

    fn erase(self, table: TablePtr, key: u64) -> bool {
        let key = number(key);
        // SAFETY: see above.
        unsafe { calls::erase_table_entry(table, &raw const key) == 0 }
    }

    fn size(self, table: TablePtr) -> u64 {
        // SAFETY: see above.
        unsafe { calls::get_table_size(table) }
    }

    fn read(self, table: TablePtr, entry: EntryPtr, field: FieldPtr) -> Option<StateData> {
        let mut value = number(77);
        // SAFETY: see above.
        let rc = unsafe { calls::read_entry_field(table, entry, field, &raw mut value) };
        (rc == 0).then_some(value)
    }

    fn read_number(self, table: TablePtr, entry: EntryPtr, field: FieldPtr) -> Option<u64> {
        // SAFETY: every bit pattern is a number.
        self.read(table, entry, field).map(|value| unsafe { value.u64_ })
    }

    fn read_text(self, table: TablePtr, entry: EntryPtr, field: FieldPtr) -> Option<String> {
        self.read(table, entry, field).map(|value| {
            // SAFETY: the field is a text.
            let text = unsafe { value.str_ };
            // SAFETY: a text that the host has.
            unsafe { crate::abi::copy_text(text) }
        })
    }

    fn read_table(self, table: TablePtr, entry: EntryPtr, field: FieldPtr) -> TablePtr {
        // SAFETY: the field is a table.
        self.read(table, entry, field).map_or(ptr::null_mut(), |value| unsafe { value.table })
    }

    fn write(self, table: TablePtr, entry: EntryPtr, field: FieldPtr, value: StateData) -> bool {
        // SAFETY: see above.
        unsafe { calls::write_entry_field(table, entry, field, &raw const value) == 0 }
    }

    /// Iterates until it has seen `most` entries; tells how many, and whether that was the end.
    fn iterate(self, table: TablePtr, most: u32) -> (u32, bool) {
        unsafe extern "C-unwind" fn visit(left: *mut TableIteratorState, _: EntryPtr) -> u32 {
            // SAFETY: it is what is passed below.
            let left = unsafe { &mut *left.cast::<u32>() };
            *left -= 1;
            u32::from(*left != 0)
        }
        let mut left = most;
        // SAFETY: see above, and what goes with the function outlives the call.
        let rc = unsafe { calls::iterate_entries(table, Some(visit), (&raw mut left).cast()) };
        (most - left, rc != 0)
    }

    /// Ends the call that the plugin is in.
    fn end_call(self) {
        self.0.tables().reclaim();
    }
}

/// Source: `sinsp_threadinfo::get_static_fields`, the fields that plugins of Falco ask for when they start.
#[test]
fn plugins_find_the_table_threads_and_the_tables_in_it() {
    let user = User::new(&StateTables::new());
    let threads = user.threads();
    assert!(user.table(c"threads", UINT64).is_null());
    assert_eq!(user.error(), "the keys of table 'threads' have type 4, not 8");
    for (name, field_type) in [
        (c"tid", INT64),
        (c"ptid", INT64),
        (c"comm", STRING),
        (c"exe_writable", BOOL),
        (c"pidns_init_start_ts", UINT64),
        (c"file_descriptors", TABLE),
    ] {
        assert!(!user.field(threads, name, field_type).is_null(), "{name:?}: {}", user.error());
    }
    assert!(user.field(threads, c"comm", INT64).is_null());
    assert_eq!(user.error(), "table 'threads' of the host has no field 'comm' of type 4");

    // As plugins do that want to know the fields of what lies in a thread: they make one for that.
    let thread = user.create(threads);
    for (name, field, field_type) in [
        (c"args", c"value", STRING),
        (c"env", c"value", STRING),
        (c"cgroups", c"second", STRING),
        (c"file_descriptors", c"socket_ipv4_src_port", UINT16),
        (c"file_descriptors", c"type", UINT8),
    ] {
        let table = user.read_table(threads, thread, user.field(threads, name, TABLE));
        assert!(!user.field(table, field, field_type).is_null(), "{name:?}: {}", user.error());
        assert_eq!(user.size(table), 0);
    }
    user.release(threads, thread);
    user.end_call();
    assert_eq!(user.size(threads), 0, "it was never in the table");
}

#[test]
fn threads_have_what_plugins_give_them() {
    let user = User::new(&StateTables::new());
    let threads = user.threads();
    let comm = user.field(threads, c"comm", STRING);
    let tid = user.field(threads, c"tid", INT64);
    let open = user.add_field(threads, c"open", UINT8);
    assert_eq!(user.add_field(threads, c"open", UINT8), open);
    assert!(user.add_field(threads, c"open", STRING).is_null());
    assert!(user.add_field(threads, c"comm", STRING).is_null(), "it is no added one");

    let made = user.create(threads);
    assert_eq!(user.read_text(threads, made, comm).as_deref(), Some(""));
    assert_eq!(user.read_number(threads, made, open), Some(0));
    assert!(user.write(threads, made, comm, StateData { str_: c"init".as_ptr() }));
    assert!(user.write(threads, made, open, number(0x1ff)));
    let added = user.add(threads, 1, made);
    assert_eq!(user.read_number(threads, added, open), Some(0xff), "one byte");
    assert_eq!(user.read_number(threads, added, tid), Some(1));
    user.end_call();

    let found = user.get(threads, 1);
    assert_eq!(user.read_text(threads, found, comm).as_deref(), Some("init"));
    assert!(user.get(threads, 2).is_null());
    let cwd = user.field(threads, c"cwd", STRING);
    assert!(!user.write(threads, found, cwd, StateData { str_: c"/".as_ptr() }), "read-only");
    assert!(!user.write(threads, found, comm, StateData { str_: ptr::null() }));

    user.add(threads, 2, user.create(threads));
    assert_eq!(user.iterate(threads, 9), (2, true));
    assert_eq!(user.iterate(threads, 1), (1, false));
    // One in the place of another; who has the old one keeps it until it is released.
    user.add(threads, 1, user.create(threads));
    assert_eq!(user.size(threads), 2);
    assert_eq!(user.read_text(threads, found, comm).as_deref(), Some("init"));
    assert_eq!(user.read_text(threads, user.get(threads, 1), comm).as_deref(), Some(""));
    assert!(user.erase(threads, 1) && !user.erase(threads, 1));
    assert_eq!(user.error(), "table 'threads' of the host has no such entry to erase");
    // SAFETY: the handle was given out.
    assert_eq!(unsafe { calls::clear_table(threads) }, 0);
    assert_eq!(user.size(threads), 0);
}

#[test]
fn tables_in_threads_are_tables_of_their_own() {
    let user = User::new(&StateTables::new());
    let threads = user.threads();
    let args = user.field(threads, c"args", TABLE);
    let [one, two] = [1, 2].map(|tid| user.add(threads, tid, user.create(threads)));
    let of_one = user.read_table(threads, one, args);
    let of_two = user.read_table(threads, two, args);
    let value = user.field(of_one, c"value", STRING);
    let argument = user.add(of_one, 0, user.create(of_one));
    assert!(user.write(of_one, argument, value, StateData { str_: c"-x".as_ptr() }));
    assert_eq!((user.size(of_one), user.size(of_two)), (1, 0));
    user.end_call();

    let one = user.get(threads, 1);
    let of_one = user.read_table(threads, one, args);
    let argument = user.get(of_one, 0);
    assert_eq!(user.read_text(of_one, argument, value).as_deref(), Some("-x"));
    assert!(user.add_field(of_one, c"more", STRING).is_null());
    // They go with their thread, but for what is held.
    assert!(user.erase(threads, 1));
    user.release(threads, one);
    assert_eq!(user.size(of_one), u64::MAX);
    assert!(user.get(of_one, 0).is_null() && user.add(of_one, 1, user.create(of_one)).is_null());
    assert_eq!(user.read_text(of_one, argument, value).as_deref(), Some("-x"));
    user.release(of_one, argument);
    assert!(user.read(of_one, argument, value).is_none());
}

#[test]
fn what_was_not_given_for_a_purpose_is_refused() {
    let tables = StateTables::new();
    let (user, other) = (User::new(&tables), User::new(&tables));
    let threads = user.threads();
    let comm = user.field(threads, c"comm", STRING);
    let args = user.field(threads, c"args", TABLE);
    let thread = user.add(threads, 1, user.create(threads));
    let of_thread = user.read_table(threads, thread, args);
    let value = user.field(of_thread, c"value", STRING);
    let argument = user.create(of_thread);

    let check = |is_refused: bool, error: &str| {
        assert!(is_refused, "{error}");
        assert_eq!(user.error(), error);
    };
    let no_field = "table 'threads' of the host has no such field";
    check(user.read(threads, thread, value).is_none(), no_field);
    check(user.read(threads, thread, NO_FIELD).is_none(), no_field);
    let no_entry = "table 'threads' of the host has given out no such entry";
    check(user.read(threads, NO_ENTRY, comm).is_none(), no_entry);
    check(!user.write(threads, NO_ENTRY, comm, number(0)), no_entry);
    check(
        user.read(threads, argument, comm).is_none(),
        "table 'threads' of the host has no such entry",
    );
    check(
        !user.write(threads, thread, comm, number(0)),
        "table 'threads' of the host takes neither null nor a table as a value",
    );
    check(
        user.add(threads, 2, argument).is_null(),
        "table 'threads' of the host does not take an entry",
    );
    let not_made =
        "table 'threads' of the host takes no entry that it has not made or that is in a table";
    check(user.add(threads, 2, thread).is_null(), not_made);
    check(user.add(threads, 2, NO_ENTRY).is_null(), not_made);
    // What another plugin was given.
    let of_other = other.get(other.threads(), 1);
    user.release(threads, thread);
    check(user.read(threads, of_other, comm).is_none(), no_entry);

    // Handles are used again, but not by those who have them from before.
    user.end_call();
    check(user.size(of_thread) == u64::MAX, "table 'args' is gone");
    check(user.read(threads, thread, comm).is_none(), no_entry);
    let thread = user.get(threads, 1);
    assert_eq!(user.read_table(threads, thread, args), of_thread);
}

#[test]
fn what_is_in_threads_goes_with_the_last_who_sees_it() {
    let tables = StateTables::new();
    let users = [User::new(&tables), User::new(&tables)];
    let threads = users[1].threads();
    users[0].add(users[0].threads(), 1, users[0].create(users[0].threads()));
    users[0].0.leave();
    assert_eq!(users[1].size(threads), 1);
    users[1].0.leave();
    assert_eq!(users[1].size(threads), 0);
}
