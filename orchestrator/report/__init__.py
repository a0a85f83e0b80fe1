"""Where does the page come from? One HTML file with tables, figures and every job with its attempts."""
