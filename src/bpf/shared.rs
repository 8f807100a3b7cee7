//! The C types that all objects share, out of the object that is always loaded.

use super::object::object;

object! {
    name: "scope",
    cells: 1,
    // SAFETY: integers only, as bpf/scope/scope.bpf.c and, for what all objects have, bpf/shared/{config,compat,hist,ring,frame_types,unwind_types,python_types}.h declare them.
    unsafe plain: scope_names, scope_task, scope_record, program_record, config, epoch, compat, cell_key, cell, hot_cell, event_header, frame_key, frame, unwind_rule, unwind_page, unwind_mapping, unwind_process, unwind_file, python_interpreter,
}
