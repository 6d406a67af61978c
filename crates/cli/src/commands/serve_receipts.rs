//! Where `serve` keeps receipts, and for how long.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credence_receipt::BUNDLE_LEN_MAX;
use credence_store::file::Access;
use credence_store::objects::FolderObjects;
use credence_store::{FolderReceipts, Made, MemoryReceipts, Receipts, Vault, VaultKey};

use crate::args::ServeArgs;
use crate::context::Context;
use crate::error::{CliError, chain};
use crate::exit::Exit;

/// Room for receipts that are kept in memory alone, in bytes.
const MEMORY_BYTES_MAX: usize = 256 * 1024 * 1024;
/// From one sweep to the next.
const SWEEP: Duration = Duration::from_secs(60 * 60);

/// A place for receipts; while it lives, what is old enough goes.
pub(crate) struct Kept {
    pub(crate) receipts: Box<dyn Receipts>,
    /// Dropping it ends the sweeps.
    _sweeps: Option<Sender<()>>,
}

/// Opens the place for receipts.
pub(crate) fn open(context: &mut Context, args: &ServeArgs) -> Result<Kept, CliError> {
    let len_max = u64::try_from(BUNDLE_LEN_MAX).unwrap_or(u64::MAX);
    let plain = |receipts| Kept {
        receipts,
        _sweeps: None,
    };
    if args.no_keep {
        return Ok(plain(Box::new(MemoryReceipts::new(MEMORY_BYTES_MAX))));
    }
    let has_vault = context.home()?.vault().is_dir();
    if args.receipts_key.is_none() && args.receipts_days.is_none() && !has_vault {
        let folder = context.home()?.make_receipts()?;
        return Ok(plain(Box::new(FolderReceipts::new(folder, len_max))));
    }
    let key = key(context, args)?;
    let objects = FolderObjects::open(context.home()?.vault(), Access::Owner)?;
    let has_key = key.is_some();
    let vault = Arc::new(Vault::new(Arc::new(objects), key, len_max));
    check_key(&vault, has_key)?;
    take_in(context, &vault, len_max)?;
    let sweeps = args.receipts_days.map(|days| sweep(&vault, days));
    Ok(Kept {
        receipts: Box::new(vault),
        _sweeps: sweeps.transpose()?,
    })
}

/// A vault that was encrypted is not gone on with in the clear: what is in it could not be given out, and what came now would be readable.
fn check_key(vault: &Vault, has_key: bool) -> Result<(), CliError> {
    if has_key || !vault.has_sealed()? {
        return Ok(());
    }
    let what = "the receipts of this home are in an encrypted vault, and no key was given";
    Err(CliError::new(Exit::Usage, what).hint(
        "start with `--receipts-key FILE` as before; `--receipts-days` alone does not read it",
    ))
}

/// Moves what was kept before into the vault, so that it is encrypted, and goes when it is due, as what comes now.
fn take_in(context: &mut Context, vault: &Vault, len_max: u64) -> Result<(), CliError> {
    let folder = context.home()?.receipts();
    if !folder.is_dir() {
        return Ok(());
    }
    let moved = vault.take_in(&FolderReceipts::new(folder.clone(), len_max))?;
    if moved > 0 {
        let folder = folder.display();
        context.console.say(&format!(
            "moved {moved} receipts from `{folder}` into the vault; copies of that folder are as readable as they were"
        ));
    }
    Ok(())
}

fn key(context: &mut Context, args: &ServeArgs) -> Result<Option<VaultKey>, CliError> {
    let Some(path) = &args.receipts_key else {
        return Ok(None);
    };
    let (key, made) = VaultKey::read_or_make(path)
        .map_err(|e| CliError::because(Exit::Io, "receipts cannot be encrypted", e))?;
    if made == Made::New {
        let path = path.display();
        context.console.say(&format!(
            "made a new key for receipts, `{path}`: whoever loses it loses them"
        ));
    }
    Ok(Some(key))
}

/// Sweeps now and every hour, until what it gives is dropped.
fn sweep(vault: &Arc<Vault>, days: u64) -> Result<Sender<()>, CliError> {
    let (end, ended) = channel();
    let vault = Arc::clone(vault);
    let run = move || {
        loop {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            match vault.sweep(now.map_or(0, |now| now.as_secs()), days) {
                Ok(swept) if swept.bundles > 0 => {
                    tracing::info!("removed {} receipts older than {days} days", swept.bundles);
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(cause = chain(&error), "old receipts are not removed")
                }
            }
            if ended.recv_timeout(SWEEP) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    };
    thread::Builder::new()
        .name("credence-sweep".to_owned())
        .spawn(run)
        .map_err(|e| CliError::ours("no thread can be started", e))?;
    Ok(end)
}
