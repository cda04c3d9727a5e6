//! Whatever is written, nothing panics.

use super::*;

proptest! {
    #[test]
    fn no_line_panics(line in "%{0,3}[a-z]{0,8}\\PC{0,40}", rest in "\\PC{0,40}", offset in 0usize..100) {
        let code = format!("{line}\n{rest}");
        for code in [&line, &code] {
            let _ = run(code, &Table::default(), &Record::default(), &|_| Ok(None).into());
            let _ = complete(code, offset, &Table::default());
            let _ = inspect(code, offset);
        }
    }

    #[test]
    fn no_arguments_panic(magic in 0..MAGICS.len(), arguments in "[-a-z0-9=\"' {}\\[\\]:,.fäß\u{1F600}]{0,30}") {
        let magic = &MAGICS[magic];
        // Without an answer that ends it, `%drain` waits.
        prop_assume!(magic.name != "drain" && !arguments.contains("--follow"));
        let line = format!("{} {arguments}", magic.written());
        if let Err(error) = run(&line, &Table::default(), &Record::default(), &|_| Ok(None).into()) {
            prop_assert!(!error.evalue.is_empty() && !error.evalue.contains('\n'));
        }
    }
}
