"""What happens when no request is there: settings, sources, reload, worker, supervisor."""
