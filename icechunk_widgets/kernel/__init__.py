"""Between a view and its widget: requests, answers, errors, and pages without a kernel."""
