//! The script that an interpreter runs, out of its arguments: `python3` names thousands of processes, `python3 web.py` one.

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::report::read::input::Source;
use crate::report::read::limit::Limit;
use crate::report::read::rows::Which;

/// Beginnings of the names of programs whose first argument says what they are.
const INTERPRETERS: [&str; 12] =
    ["python", "node", "java", "ruby", "perl", "php", "bash", "sh", "dash", "lua", "beam.smp", "dotnet"];

/// Options that are followed by a value of their own.
const WITH_VALUE: [&str; 7] = ["-cp", "-classpath", "--class-path", "-p", "-W", "-X", "-r"];

/// About what a script's name takes in memory.
const SCRIPT_BYTES: usize = 96;

/// The scripts of all interpreters of a recording.
pub(super) fn of(source: &Source) -> Result<BTreeMap<Which, Rc<str>>> {
    let mut scripts = BTreeMap::new();
    let mut limit = Limit::new();
    for kind in ["process", "exec"] {
        let mut rows = source.rows_of_all_times(kind);
        let argv = rows.text("argv");
        rows.each(|row| {
            let (Some(which), Some(argv)) = (row.which(), row.text(argv)) else { return };
            let interpreter = row.comm().is_some_and(|comm| INTERPRETERS.iter().any(|name| comm.starts_with(name)));
            if let Some(script) = script(argv).filter(|_| interpreter)
                && limit.take(SCRIPT_BYTES)
            {
                scripts.insert(which, limit.name(script));
            }
        })?;
    }
    limit.check(source, "scripts")?;
    Ok(scripts)
}

/// The file name of the first argument that is not an option; the module of `python3 -m`; nothing for code on the command line.
fn script(argv: &str) -> Option<&str> {
    let mut words = argv.split_ascii_whitespace().skip(1);
    while let Some(word) = words.next() {
        match word {
            "-c" | "-e" | "--eval" => return None,
            // What follows is the name itself.
            "-m" | "-jar" => continue,
            option if WITH_VALUE.contains(&option) => {
                words.next();
            }
            option if option.starts_with('-') => {}
            name => {
                let name = name.trim_matches('\'').trim_end_matches('/');
                return name.rsplit('/').next().filter(|name| !name.is_empty());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn the_script_is_the_first_argument_that_is_no_option() {
        for (argv, name) in [
            ("python3 /srv/shop/web.py --port 80", Some("web.py")),
            ("python3 -u -W ignore web.py", Some("web.py")),
            ("python3 -m http.server 8000", Some("http.server")),
            ("python3 -c 'import time; time.sleep(1)'", None),
            ("java -Xmx1g -cp /a:/b -jar /opt/app.jar", Some("app.jar")),
            ("node --inspect '/srv/my' app.js", Some("my")),
            ("bash", None),
        ] {
            assert_eq!(script(argv), name, "{argv}");
        }
    }
}
