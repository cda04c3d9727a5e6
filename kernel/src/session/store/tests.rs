use super::*;
use std::os::unix::fs::PermissionsExt;

/// A user with a registry, a compiler that counts its calls, and sessions.
struct User {
    place: tempfile::TempDir,
    roots: Vec<PathBuf>,
    rustc: PathBuf,
}

impl User {
    fn new(does: &str) -> io::Result<Self> {
        let place = tempfile::tempdir()?;
        let roots = vec![place.path().join("registry")];
        fs::create_dir_all(place.path().join("registry/a-1.0.0/src"))?;
        fs::write(place.path().join("registry/a-1.0.0/src/lib.rs"), "")?;
        let rustc = place.path().join("rustc");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >> '{}'\nout=\"$1\"; src=\"$2\"\n{does}\n",
            place.path().join("calls").display()
        );
        fs::write(&rustc, script)?;
        fs::set_permissions(&rustc, fs::Permissions::from_mode(0o755))?;
        Ok(Self { place, roots, rustc })
    }

    /// What makes a library and the list of what was read.
    fn library() -> io::Result<Self> {
        Self::new(
            "echo code-$$ > $out/liba-0123456789ab.rlib; echo types-$$ > $out/liba-0123456789ab.rmeta\n\
             printf '%s: %s\\n\\n%s:\\n\\n# env-dep:MACHINE_STORE_TEST\\n' \"$out/liba-0123456789ab.rlib\" \"$src\" \"$src\" > $out/a-0123456789ab.d",
        )
    }

    fn session(&self, number: u32) -> io::Result<PathBuf> {
        let session = self.place.path().join(format!("sessions/{number}"));
        fs::create_dir_all(session.join("target/deps"))?;
        Ok(session)
    }

    fn arguments(&self, session: &Path, more: &str) -> Vec<OsString> {
        let text = format!(
            "{source} --crate-name a --emit=dep-info,metadata,link -C extra-filename=-0123456789ab -C metadata=ab12 \
             --out-dir {out} {more}",
            source = self.roots.first().map(|root| root.join("a-1.0.0/src/lib.rs")).unwrap_or_default().display(),
            out = session.join("target/deps").display(),
        );
        text.split_whitespace().map(OsString::from).collect()
    }

    fn compile(&self, session: &Path, more: &str) -> io::Result<Option<i32>> {
        let arguments = self.arguments(session, more);
        let unit = Unit::below(&self.roots, self.rustc.as_os_str(), &arguments, session)
            .ok_or_else(|| io::Error::other("it cannot be shared"))?;
        let status = unit.make(&self.store(), &arguments, |arguments| {
            let identity = arguments.iter().find(|it| it.to_string_lossy().starts_with("metadata=")).cloned();
            let source = arguments.first().cloned().unwrap_or_default();
            std::process::Command::new(&self.rustc)
                .args([Some(unit.out.clone().into()), Some(source), identity].into_iter().flatten())
                .status()
        })?;
        Ok(status.code())
    }

    fn store(&self) -> PathBuf {
        self.place.path().join("crates")
    }

    fn calls(&self) -> Vec<String> {
        let calls = fs::read_to_string(self.place.path().join("calls")).unwrap_or_default();
        calls.lines().map(str::to_owned).collect()
    }

    /// The one file of the store with this ending.
    fn stored(&self, ending: &str) -> io::Result<PathBuf> {
        let found = tree(&self.store())?.into_values().find(|path| path.to_string_lossy().ends_with(ending));
        found.ok_or_else(|| io::Error::other(format!("no {ending}")))
    }
}

#[test]
fn a_crate_is_compiled_once_for_all_sessions() -> io::Result<()> {
    let user = User::library()?;
    let (first, second) = (user.session(1)?, user.session(2)?);
    for session in [&first, &second, &first] {
        assert_eq!(user.compile(session, "")?, Some(0));
    }
    assert_eq!(user.calls().len(), 1);
    for file in ["liba-0123456789ab.rlib", "liba-0123456789ab.rmeta"] {
        let of = |session: &Path| fs::read(session.join("target/deps").join(file));
        assert_eq!(of(&first)?, of(&second)?);
    }
    let list = fs::read_to_string(second.join("target/deps/a-0123456789ab.d"))?;
    assert!(list.contains("sessions/2") && !list.contains("sessions/1"), "{list}");
    Ok(())
}

#[test]
fn another_version_feature_flag_or_dependency_is_another_crate() -> io::Result<()> {
    let user = User::library()?;
    let session = user.session(1)?;
    let dependency = user.place.path().join("libb.rmeta");
    let external = format!("--extern b={}", dependency.display());
    fs::write(&dependency, "b")?;
    for more in ["", "--cfg feature=\"x\"", "-C opt-level=3", &external] {
        user.compile(&session, more)?;
    }
    // The same file, compiled anew.
    fs::write(&dependency, "b, edited")?;
    user.compile(&session, &external)?;
    let identities: std::collections::BTreeSet<String> =
        user.calls().iter().filter_map(|call| call.rsplit(' ').next().map(str::to_owned)).collect();
    assert_eq!(identities.len(), 5, "types of each are its own: {identities:?}");
    Ok(())
}

#[test]
fn a_directory_of_the_users_and_incremental_state_are_not_shared() -> io::Result<()> {
    let user = User::library()?;
    let session = user.session(1)?;
    let of = |arguments: &[OsString]| Unit::below(&user.roots, user.rustc.as_os_str(), arguments, &session).is_some();
    assert!(of(&user.arguments(&session, "")));
    assert!(!of(&user.arguments(&session, "-C incremental=x")));
    let own: Vec<OsString> = user
        .arguments(&session, "")
        .into_iter()
        .map(|it| it.to_string_lossy().replace("/registry/", "/home/me/").into())
        .collect();
    assert!(!of(&own));
    Ok(())
}

#[test]
fn a_damaged_entry_is_made_anew() -> io::Result<()> {
    let user = User::library()?;
    user.compile(&user.session(1)?, "")?;
    let rlib = user.stored(".rlib")?;
    let whole = fs::read(&rlib)?;
    fs::write(&rlib, whole.get(..3).unwrap_or_default())?;
    user.compile(&user.session(2)?, "")?;
    assert_eq!(user.calls().len(), 2);
    fs::write(user.stored(CONTENTS)?, "{")?;
    user.compile(&user.session(3)?, "")?;
    assert_eq!(user.calls().len(), 3);
    user.compile(&user.session(4)?, "")?;
    assert_eq!(user.calls().len(), 3);
    Ok(())
}

#[test]
fn what_failed_or_read_what_may_change_is_not_stored() -> io::Result<()> {
    let failing = User::new("exit 3")?;
    for _ in 0..2 {
        assert_eq!(failing.compile(&failing.session(1)?, "")?, Some(3));
    }
    assert_eq!(failing.calls().len(), 2);
    let reading = User::new("printf '/etc/passwd:\\n' > $out/a-0123456789ab.d; echo > $out/liba-0123456789ab.rlib")?;
    for _ in 0..2 {
        reading.compile(&reading.session(1)?, "")?;
    }
    assert_eq!(reading.calls().len(), 2);
    assert!(reading.stored(CONTENTS).is_err());
    Ok(())
}

#[test]
fn sessions_that_want_a_crate_at_one_moment_compile_it_once() -> io::Result<()> {
    let user = User::library()?;
    let sessions = (0..8).map(|number| user.session(number)).collect::<io::Result<Vec<PathBuf>>>()?;
    let user = &user;
    let all = std::thread::scope(|scope| {
        let threads: Vec<_> = sessions.iter().map(|session| scope.spawn(move || user.compile(session, ""))).collect();
        let join = |thread: std::thread::ScopedJoinHandle<'_, io::Result<Option<i32>>>| {
            thread.join().map_err(|_| io::Error::other("a thread panicked"))?
        };
        threads.into_iter().map(join).collect::<io::Result<Vec<_>>>()
    })?;
    assert_eq!(all, vec![Some(0); 8]);
    assert_eq!(user.calls().len(), 1);
    Ok(())
}

#[test]
fn what_is_long_unused_is_removed() -> io::Result<()> {
    let user = User::library()?;
    user.compile(&user.session(1)?, "")?;
    prune(&user.store());
    let contents = user.stored(CONTENTS)?;
    File::options().append(true).open(&contents)?.set_modified(SystemTime::now() - KEPT - KEPT)?;
    prune(&user.store());
    assert!(!contents.exists());
    Ok(())
}
