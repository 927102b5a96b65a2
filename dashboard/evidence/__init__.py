"""What a page argues, without Streamlit: from a scope to its sentences and figures, for screen and report."""
