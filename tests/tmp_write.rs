use ebrec::recording::*;
use std::sync::Arc;
#[test]
fn write_some() {
    for (name, partial) in [("/tmp/eng/whole.parquet", false), ("/tmp/eng/part.parquet", true)] {
        std::fs::create_dir_all("/tmp/eng").unwrap();
        for f in [name.to_string(), format!("{name}.partial"), format!("{name}.partial.footer")] {
            let _ = std::fs::remove_file(f);
        }
        static OWN: [Column; 2] = [
            Column { name: "own_ratio", ty: ColumnType::Double, title: "Ratio", unit: None, help: "A number." },
            Column { name: "own_flag", ty: ColumnType::Bool, title: "Flag", unit: None, help: "A truth value." },
        ];
        let schema = Arc::new(Schema::new(&OWN));
        let mut w = Writer::create(
            std::path::Path::new(name),
            schema.clone(),
            Identity { host: "bóx".into(), run_id: "r1".into() },
            Existing::Keep,
        )
        .unwrap();
        let meta = Meta { version: "0.1.0".into(), command: vec!["ebrec".into()], ..Meta::default() };
        w.set_meta(&meta);
        let mut r = Rows::new(schema.clone(), 1_700_000_000_000_000_000);
        for n in 0..200_000_u64 {
            let mut row = r.row("wakeup");
            row.at(n * 777)
                .int(column::PID, (n % 13) as i64)
                .text(column::COMM, ["a", "bb", "größe"][(n % 3) as usize])
                .int(column::DUR_NS, (n * n % 100000) as i64)
                .int(column::CPU, (n % 4) as i64);
            if n % 5 == 0 {
                row.int(column::BYTES, n as i64 * 1_000_003)
                    .int(column::PRIO, -5)
                    .text(column::ARGV, &format!("prog --n={n}"));
            }
            if n % 11 == 0 {
                row.double(schema.id("own_ratio").unwrap(), n as f64 / 3.0)
                    .bool(schema.id("own_flag").unwrap(), n % 2 == 0);
            }
            if n % 100 == 0 {
                r.row("stack").int(column::ID, n as i64).list(column::FRAMES, &[1, 2, 3][..(n / 100 % 4) as usize]);
                r.row("exec").int(column::PID, n as i64).bytes(column::FILENAME, b"/bin/\xfftrue\0");
            }
            if n % 20_000 == 19_999 {
                for b in r.take(1, true) {
                    w.write(b).unwrap();
                }
                w.checkpoint().unwrap();
            }
        }
        if partial {
            r.row("exec").int(column::PID, 1);
            for b in r.take(1, true) {
                w.write(b).unwrap();
            }
            drop(w);
            let mut f = std::fs::OpenOptions::new().append(true).open(format!("{name}.partial")).unwrap();
            std::io::Write::write_all(&mut f, b"half a row group").unwrap();
            let mut all = std::fs::read(format!("{name}.partial")).unwrap();
            all.extend(std::fs::read(format!("{name}.partial.footer")).unwrap());
            std::fs::write("/tmp/eng/cat.parquet", all).unwrap();
            println!("{:?}", Recording::open(std::path::Path::new(&format!("{name}.partial"))).unwrap().kinds());
        } else {
            println!("{:?}", w.finish(std::time::Duration::from_secs(1)).unwrap());
        }
    }
}
